#include "base/err.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set(struct cnif_err *err, int code, const char *suffix, const char *format, va_list ap)
{
    int n;

    err->code = code;
    n = vsnprintf(err->msg, sizeof(err->msg), format, ap);
    if (suffix && n >= 0 && (size_t)n < sizeof(err->msg))
        (void)snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", suffix);
}

const char *cnif_errno_text(int code, char *text, size_t size)
{
    const char *known = strerrordesc_np(code);

    (void)snprintf(text, size, "%s", known ? known : "unknown error");
    /* Not where it starts with an abbreviation. */
    if (size > 1 && islower((unsigned char)text[1]))
        text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

int cnif_err_set(struct cnif_err *reterr, int code, const char *format, ...)
{
    if (reterr) {
        va_list ap;

        va_start(ap, format);
        set(reterr, code, NULL, format, ap);
        va_end(ap);
    }
    return -code;
}

int cnif_err_errno(struct cnif_err *reterr, int code, const char *format, ...)
{
    if (reterr) {
        va_list ap;
        char text[64];

        va_start(ap, format);
        set(reterr, code, cnif_errno_text(code, text, sizeof(text)), format, ap);
        va_end(ap);
    }
    return -code;
}

void cnif_err_prefix(struct cnif_err *reterr, const char *format, ...)
{
    char kept[sizeof(reterr->msg)];
    va_list ap;

    if (!reterr)
        return;
    memcpy(kept, reterr->msg, sizeof(kept));
    va_start(ap, format);
    set(reterr, reterr->code, kept, format, ap);
    va_end(ap);
}
