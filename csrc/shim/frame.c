/*
 * Frames between shim and service (all integers little-endian):
 *
 *   +-----------+-----------+-----------+----------------+-----------+
 *   | u32 magic | u16 wire  | u16 kind  | u32 length     | u32 flags |   header
 *   +-----------+-----------+-----------+----------------+-----------+
 *   | u64 mount of /        | u64 inode of /              |              request
 *   | build \0 plugin \0 KEY=VALUE \0 ... KEY=VALUE \0 \0 stdin ...  |
 *   |                      of a command:          word \0 word \0 ...  |
 *   +----------------------------------------------------------------+
 *   | u32 exit code | stdout ...                                     |   result
 *   +----------------------------------------------------------------+
 *   | reason ...                                                     |   run cold
 *   +----------------------------------------------------------------+
 */
#include "frame.h"

#include <asm/errno.h>

size_t shim_strlen(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

static bool has_prefix(const char *s, const char *prefix)
{
    while (*prefix)
        if (*s++ != *prefix++)
            return false;
    return true;
}

bool shim_streq(const char *a, const char *b)
{
    return has_prefix(a, b) && a[shim_strlen(b)] == '\0';
}

static bool spells(const char *s, size_t len, const char *word)
{
    return len == shim_strlen(word) && has_prefix(s, word);
}

void shim_put(struct shim_buf *b, const void *data, size_t len)
{
    const char *from = data;

    if (b->overflow || len > b->size - b->len) {
        b->overflow = true;
        return;
    }
    for (size_t i = 0; i < len; i++)
        b->data[b->len + i] = from[i];
    b->len += len;
}

void shim_put_text(struct shim_buf *b, const char *s)
{
    shim_put(b, s, shim_strlen(s));
}

void shim_put_string(struct shim_buf *b, const char *s)
{
    shim_put(b, s, shim_strlen(s) + 1);
}

void shim_put_number(struct shim_buf *b, unsigned long n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    shim_put(b, digits + at, sizeof(digits) - at);
}

static void store_le(char *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(value >> (8 * i));
}

static uint32_t load_le(const char *from, size_t bytes)
{
    uint32_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value |= (uint32_t)(unsigned char)from[i] << (8 * i);
    return value;
}

const char *shim_plugin_name(const char *argv0)
{
    const char *name = argv0 ? argv0 : "";

    for (const char *p = name; *p; p++)
        if (*p == '/')
            name = p + 1;
    return name;
}

void shim_put_versions(struct shim_buf *b, const char *plugin, const char *separator)
{
    static const char *const versions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                           "0.4.0", "1.0.0", "1.1.0"};
    static const struct {
        const char *plugin;
        size_t since; /* plugins that came with a later version than the first */
    } later[] = {{"bandwidth", 2}, {"vrf", 3}, {"firewall", 4}};
    size_t first = 0;

    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (shim_streq(plugin, later[i].plugin))
            first = later[i].since;
    for (size_t i = first; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (i > first)
            shim_put_text(b, separator);
        shim_put_text(b, versions[i]);
    }
}

const char *shim_env_get(char *const envp[], const char *name)
{
    size_t len = shim_strlen(name);

    for (; *envp; envp++)
        if (has_prefix(*envp, name) && (*envp)[len] == '=')
            return *envp + len + 1;
    return NULL;
}

bool shim_env_forwarded(const char *entry)
{
    return has_prefix(entry, "CNI_") || has_prefix(entry, "TRACEPARENT=") ||
           has_prefix(entry, "TRACESTATE=");
}

bool shim_env_of_command(const char *entry)
{
    return shim_env_forwarded(entry) || has_prefix(entry, "NETCONFPATH=") ||
           has_prefix(entry, "CAP_ARGS=");
}

void shim_request_begin(struct shim_buf *b, const char *build, const char *plugin,
                        char *const envp[], bool (*forwarded)(const char *entry))
{
    static const char blank[SHIM_HEADER_SIZE + SHIM_ROOT_SIZE];

    shim_put(b, blank, sizeof(blank));
    shim_put_string(b, build);
    shim_put_string(b, plugin);
    for (; *envp; envp++)
        if (forwarded(*envp))
            shim_put_string(b, *envp);
    shim_put_string(b, "");
}

void shim_request_end(struct shim_buf *b, const struct shim_root *root, uint32_t flags)
{
    store_le(b->data, SHIM_MAGIC, 4);
    store_le(b->data + 4, SHIM_WIRE_VERSION, 2);
    store_le(b->data + 6, SHIM_REQUEST, 2);
    store_le(b->data + 8, b->len - SHIM_HEADER_SIZE, 4);
    store_le(b->data + 12, flags, 4);
    store_le(b->data + SHIM_HEADER_SIZE, root->mount, 8);
    store_le(b->data + SHIM_HEADER_SIZE + 8, root->inode, 8);
}

bool shim_answer_header(const char header[SHIM_HEADER_SIZE], struct shim_answer *ret)
{
    uint32_t kind = load_le(header + 6, 2);
    uint32_t length = load_le(header + 8, 4);

    if (load_le(header, 4) != SHIM_MAGIC || load_le(header + 4, 2) != SHIM_WIRE_VERSION)
        return false;
    if (length > SHIM_PAYLOAD_MAX)
        return false;
    if (kind != SHIM_RUN_COLD && (kind != SHIM_RESULT || length < 4))
        return false;
    ret->kind = (enum shim_kind)kind;
    ret->length = length;
    return true;
}

enum shim_mode shim_mode_parse(const char *s, size_t len)
{
    if (!s || !len)
        return SHIM_MODE_UNSET;
    if (spells(s, len, "auto"))
        return SHIM_MODE_AUTO;
    if (spells(s, len, "off"))
        return SHIM_MODE_OFF;
    if (spells(s, len, "required"))
        return SHIM_MODE_REQUIRED;
    return SHIM_MODE_INVALID;
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* KEY = "VALUE" or KEY = 'VALUE'; anything else is left to the TOML reader of the service. */
static void config_line(const char *p, const char *end, struct shim_config *ret)
{
    const char *key = p, *value;
    size_t key_len;
    char quote;

    while (p < end && key_char(*p))
        p++;
    key_len = (size_t)(p - key);
    p = skip_blanks(p, end);
    if (p == end || *p++ != '=')
        return;
    p = skip_blanks(p, end);
    if (p == end || (*p != '"' && *p != '\''))
        return;
    quote = *p++;
    value = p;
    while (p < end && *p != quote)
        p++;
    if (p == end)
        return;
    if (spells(key, key_len, "service")) {
        ret->mode = shim_mode_parse(value, (size_t)(p - value));
    } else if (spells(key, key_len, "socket")) {
        ret->socket = value;
        ret->socket_len = (size_t)(p - value);
    }
}

void shim_config_parse(const char *text, size_t len, struct shim_config *ret)
{
    const char *end = text + len;

    ret->mode = SHIM_MODE_UNSET;
    ret->socket = NULL;
    ret->socket_len = 0;
    while (text < end) {
        const char *line_end = text;

        while (line_end < end && *line_end != '\n')
            line_end++;
        text = skip_blanks(text, line_end);
        if (text < line_end && *text == '[')
            return; /* a table: no top-level key can follow */
        config_line(text, line_end, ret);
        text = line_end + 1;
    }
}

bool shim_dirname(const char *path, char *ret_dir, size_t size)
{
    size_t slash = 0;

    if (path[0] != '/')
        return false;
    for (size_t i = 1; path[i]; i++)
        if (path[i] == '/')
            slash = i;
    if (slash == 0)
        slash = 1; /* in the root directory */
    if (slash >= size)
        return false;
    for (size_t i = 0; i < slash; i++)
        ret_dir[i] = path[i];
    ret_dir[slash] = '\0';
    return true;
}

bool shim_guard_has(const char *guard, const char *plugin)
{
    if (!guard)
        return false;
    while (*guard) {
        size_t len = 0;

        while (guard[len] && guard[len] != ':')
            len++;
        if (spells(guard, len, plugin))
            return true;
        guard += len;
        if (*guard == ':')
            guard++;
    }
    return false;
}

/* The length of the UTF-8 sequence at s, 0 when it is not one. */
static size_t utf8_length(const unsigned char *s)
{
    size_t len;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        len = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        len = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        len = 4;
    else
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

static void put_json_text(struct shim_buf *b, const char *s)
{
    static const char hex[] = "0123456789abcdef";

    while (*s) {
        unsigned char c = (unsigned char)*s;
        size_t len = utf8_length((const unsigned char *)s);

        if (c == '"' || c == '\\') {
            const char escaped[2] = {'\\', (char)c};

            shim_put(b, escaped, sizeof(escaped));
        } else if (c < 0x20 || c == 0x7f) {
            const char escaped[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

            shim_put(b, escaped, sizeof(escaped));
        } else if (len == 0) {
            shim_put_text(b, "\\ufffd");
        } else {
            shim_put(b, s, len);
        }
        s += len ? len : 1;
    }
}

void shim_put_error(struct shim_buf *b, enum shim_code code, const char *const parts[])
{
    shim_put_text(b, "{\"cniVersion\":\"1.1.0\",\"code\":");
    shim_put_number(b, (unsigned long)code);
    shim_put_text(b, ",\"msg\":\"");
    for (; *parts; parts++)
        put_json_text(b, *parts);
    shim_put_text(b, "\"}\n");
}

/*
 * Names and not the C library's texts: a runtime that finds "no such file or
 * directory" in the answer to a DEL without a namespace takes it for success.
 */
const char *shim_errno_name(long code, char room[24])
{
    static const struct {
        long code;
        const char *name;
    } names[] = {
        {EPERM, "EPERM"},
        {ENOENT, "ENOENT"},
        {EIO, "EIO"},
        {ENOEXEC, "ENOEXEC"},
        {EBADF, "EBADF"},
        {EAGAIN, "EAGAIN"},
        {ENOMEM, "ENOMEM"},
        {EACCES, "EACCES"},
        {ENOTDIR, "ENOTDIR"},
        {EMFILE, "EMFILE"},
        {ENFILE, "ENFILE"},
        {ENOSPC, "ENOSPC"},
        {EPIPE, "EPIPE"},
        {ELOOP, "ELOOP"},
        {ENOSYS, "ENOSYS"},
        {ECONNRESET, "ECONNRESET"},
        {ECONNREFUSED, "ECONNREFUSED"},
        {E2BIG, "E2BIG"},
    };
    struct shim_buf b = {.data = room, .size = 24};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == code)
            return names[i].name;
    shim_put_text(&b, "errno ");
    shim_put_number(&b, (unsigned long)code % 100000);
    shim_put_string(&b, "");
    return room;
}
