/*
 * The pure half of the shim, hosted, so that the sanitizers see it.
 */
#include "check.h"
#include "shim/frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* A heap copy of exactly this size: one byte too far is an error of the sanitizer. */
static char *exact(const void *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    memcpy(copy, data, len);
    return copy;
}

/* A put that does not fit writes nothing and is remembered. */
static void test_buffer_overflow_is_sticky(void)
{
    char *room = exact("........", 8);
    struct shim_buf b = {.data = room, .size = 8};

    shim_put_text(&b, "12345");
    CHECK(!b.overflow && b.len == 5);
    shim_put_text(&b, "6789");
    CHECK(b.overflow && b.len == 5);
    shim_put_text(&b, "6");
    CHECK(b.overflow && b.len == 5);
    CHECK(memcmp(room, "12345...", 8) == 0);
    free(room);
}

/* Numbers are written in decimal, from 0 to the largest. */
static void test_numbers(void)
{
    char room[64];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_number(&b, 0);
    shim_put_text(&b, " ");
    shim_put_number(&b, 18446744073709551615ul);
    shim_put_string(&b, "");
    CHECK(strcmp(room, "0 18446744073709551615") == 0);
}

/* The plugin is named by the last component of argv[0]. */
static void test_plugin_name(void)
{
    CHECK(strcmp(shim_plugin_name("/opt/cni/bin/bridge"), "bridge") == 0);
    CHECK(strcmp(shim_plugin_name("bridge"), "bridge") == 0);
    CHECK(strcmp(shim_plugin_name("/opt/cni/bin/"), "") == 0);
    CHECK(strcmp(shim_plugin_name(NULL), "") == 0);
}

static bool speaks(const char *plugin, const char *expected)
{
    char room[128];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_versions(&b, plugin, " ");
    shim_put_string(&b, "");
    return strcmp(room, expected) == 0;
}

/* A plugin speaks all versions, or those since it came into being. */
static void test_versions(void)
{
    CHECK(speaks("bridge", "0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0"));
    CHECK(speaks("", "0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0"));
    CHECK(speaks("firewall", "0.4.0 1.0.0 1.1.0"));
    CHECK(speaks("bandwidth", "0.3.0 0.3.1 0.4.0 1.0.0 1.1.0"));
}

/* The first entry of a name counts, and a name that only starts alike does not. */
static void test_environment(void)
{
    char *const env[] = {
        "CNI_COMMANDS=x", "CNI_COMMAND=ADD", "CNI_COMMAND=DEL", "E=", "BARE", NULL};

    CHECK(strcmp(shim_env_get(env, "CNI_COMMAND"), "ADD") == 0);
    CHECK(strcmp(shim_env_get(env, "E"), "") == 0);
    CHECK(!shim_env_get(env, "BARE"));
    CHECK(!shim_env_get(env, "CNI_COMMA"));
    CHECK(shim_env_forwarded("CNI_ARGS=a=b;c=d"));
    CHECK(shim_env_forwarded("TRACEPARENT=00-1-2-01"));
    CHECK(!shim_env_forwarded("CNIFAST_SOCKET=/x"));
    CHECK(!shim_env_forwarded("PATH=/bin"));
    CHECK(!shim_env_forwarded("TRACEPARENTS=1"));
}

/* A command is told where configurations are, and its capability arguments, as well. */
static void test_environment_of_command(void)
{
    CHECK(shim_env_of_command("CNI_PATH=/opt/cni/bin"));
    CHECK(shim_env_of_command("NETCONFPATH=/etc/cni/net.d"));
    CHECK(shim_env_of_command("CAP_ARGS={}"));
    CHECK(!shim_env_of_command("CNIFAST_SOCKET=/x"));
    CHECK(!shim_env_of_command("CAP_ARGSX={}"));
    CHECK(!shim_env_forwarded("NETCONFPATH=/etc/cni/net.d"));
    CHECK(!shim_env_forwarded("CAP_ARGS={}"));
}

/* A request has these bytes and no others. */
static void test_request_bytes(void)
{
    static const char expected[] =
        "CNIF\x01\x00\x01\x00\x37\x00\x00\x00\x01\x00\x00\x00"
        "\x08\x07\x06\x05\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11"
        "0.1.0\0bridge\0CNI_COMMAND=ADD\0CNI_A=\0\0{}";
    char *const env[] = {"CNI_COMMAND=ADD", "HOME=/root", "CNI_A=", NULL};
    const struct shim_root root = {0x0102030405060708u, 0x1112131415161718u};
    char room[256];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_request_begin(&b, "0.1.0", "bridge", env, shim_env_forwarded);
    shim_put_text(&b, "{}");
    shim_request_end(&b, &root, SHIM_FLAG_NETNS);
    CHECK(!b.overflow);
    CHECK(b.len == sizeof(expected) - 1);
    CHECK(memcmp(room, expected, b.len) == 0);
}

/* An environment that is too long is noticed, not cut. */
static void test_request_overflow(void)
{
    char *const env[] = {"CNI_ARGS=0123456789012345678901234567890123456789", NULL};
    char *room = exact("................................................................", 64);
    struct shim_buf b = {.data = room, .size = 64};

    shim_request_begin(&b, "0.1.0", "bridge", env, shim_env_forwarded);
    CHECK(b.overflow);
    free(room);
}

/* Only answers of our kind, version and size are taken for one. */
static void test_answer_header(void)
{
    static const char good[] = "CNIF\x01\x00\x02\x00\x06\x00\x00\x00\x00\x00\x00\x00";
    static const struct {
        size_t at;
        char value;
        bool ok;
    } cases[] = {
        {0, 'C', true},    {0, 'X', false},   {3, 'X', false}, {4, 2, false},
        {5, 1, false},     {6, 1, false},     {6, 3, true},    {6, 4, false},
        {7, 1, false},     {8, 3, false},     {8, 4, true},    {10, 0x10, true},
        {10, 0x11, false}, {10, 0x12, false}, {11, 1, false},  {12, 1, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *header = exact(good, SHIM_HEADER_SIZE);
        struct shim_answer answer = {.kind = SHIM_REQUEST};

        header[cases[i].at] = cases[i].value;
        if (shim_answer_header(header, &answer) != cases[i].ok) {
            (void)fprintf(stderr, "case %zu\n", i);
            CHECK(false);
        }
        CHECK((answer.kind == SHIM_REQUEST) == !cases[i].ok);
        free(header);
    }
}

static const char *mode_name(enum shim_mode mode)
{
    static const char *const names[] = {
        [SHIM_MODE_UNSET] = "unset",       [SHIM_MODE_AUTO] = "auto",       [SHIM_MODE_OFF] = "off",
        [SHIM_MODE_REQUIRED] = "required", [SHIM_MODE_INVALID] = "invalid",
    };

    return names[mode];
}

/* Put characters in place of \n, \t and \r; "-" is nothing. */
static size_t unescape(char *text)
{
    char *to = text;

    if (strcmp(text, "-") == 0)
        return 0;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && strchr("ntr", from[1])) {
            from++;
            *to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : '\r';
        } else {
            *to++ = *from;
        }
    }
    return (size_t)(to - text);
}

static bool means(const char *text, size_t len, const char *mode, const char *socket)
{
    char *copy = exact(text, len);
    struct shim_config config;
    bool ok;

    shim_config_parse(copy, len, &config);
    if (strcmp(socket, "-") == 0)
        socket = "";
    ok = strcmp(mode_name(config.mode), mode) == 0 && config.socket_len == strlen(socket) &&
         memcmp(config.socket ? config.socket : "", socket, config.socket_len) == 0;
    free(copy);
    return ok;
}

/* Of the configuration file the two top-level strings are read, as the table has it. */
static void test_config(void)
{
    FILE *file = fopen(CNIF_SETTINGS, "re");
    char line[256], mode[16], socket[16];
    unsigned cases = 0;
    int at;

    CHECK(file != NULL);
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        if (sscanf(line, "%*c %15s %15s %n", mode, socket, &at) != 2 ||
            !means(line + at, unescape(line + at), mode, socket)) {
            (void)fprintf(stderr, "%s\n", line);
            CHECK(!"the file means what the table says");
        }
        cases++;
    }
    CHECK(cases > 20);
    if (file)
        (void)fclose(file);
}

/* The directory of a socket is found, and one that is not absolute refused. */
static void test_dirname(void)
{
    char dir[12];

    CHECK(shim_dirname("/run/c/s", dir, sizeof(dir)) && strcmp(dir, "/run/c") == 0);
    CHECK(shim_dirname("/s", dir, sizeof(dir)) && strcmp(dir, "/") == 0);
    CHECK(!shim_dirname("run/s", dir, sizeof(dir)));
    CHECK(!shim_dirname("", dir, sizeof(dir)));
    CHECK(shim_dirname("/2345678901/s", dir, sizeof(dir)));
    CHECK(!shim_dirname("/23456789012/s", dir, sizeof(dir)));
}

/* The guard holds whole names. */
static void test_guard(void)
{
    CHECK(!shim_guard_has(NULL, "bridge"));
    CHECK(!shim_guard_has("", "bridge"));
    CHECK(shim_guard_has("bridge", "bridge"));
    CHECK(shim_guard_has("flannel:bridge", "bridge"));
    CHECK(shim_guard_has("bridge:x", "bridge"));
    CHECK(!shim_guard_has("bridges:abridge", "bridge"));
}

static bool error_is(enum shim_code code, const char *text, const char *expected)
{
    const char *const parts[] = {text, NULL};
    char room[256];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_error(&b, code, parts);
    shim_put_string(&b, "");
    return !b.overflow && strcmp(room, expected) == 0;
}

/* Error JSON is one line, and valid whatever the text holds. */
static void test_error_json(void)
{
    CHECK(error_is(SHIM_TRY_AGAIN_LATER, "a",
                   "{\"cniVersion\":\"1.1.0\",\"code\":11,\"msg\":\"a\"}\n"));
    CHECK(error_is(SHIM_INTERNAL, "\"\\\n\x01\x7f",
                   "{\"cniVersion\":\"1.1.0\",\"code\":999,\"msg\":"
                   "\"\\\"\\\\\\u000a\\u0001\\u007f\"}\n"));
    CHECK(error_is(
        SHIM_IO_FAILURE, "\xc3\xa9\xff\xe2\x82",
        "{\"cniVersion\":\"1.1.0\",\"code\":5,\"msg\":\"\xc3\xa9\\ufffd\\ufffd\\ufffd\"}\n"));
    CHECK(error_is(SHIM_IO_FAILURE, "\xed\xa0\x80",
                   "{\"cniVersion\":\"1.1.0\",\"code\":5,\"msg\":\"\\ufffd\\ufffd\\ufffd\"}\n"));
}

/* Error numbers are named, and never in the words that runtimes look for. */
static void test_errno_names(void)
{
    char room[24];

    CHECK(strcmp(shim_errno_name(ENOENT, room), "ENOENT") == 0);
    CHECK(strcmp(shim_errno_name(133, room), "errno 133") == 0);
}

/* No bytes at all make the parsers read past their end. */
static void test_random_bytes(void)
{
    static const char alphabet[] = "service=\"'off# \n\t[]socket/CNIF\x01\x02\x03\x00\xff\xe2";
    unsigned int seed = 1;

    for (int round = 0; round < 20000; round++) {
        char text[64], out[128];
        size_t len;
        struct shim_buf b = {.data = out, .size = sizeof(out)};
        struct shim_config config;
        struct shim_answer answer;
        char *copy;

        seed = seed * 1103515245u + 12345u;
        len = seed >> 16 & 63;
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1103515245u + 12345u;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        copy = exact(text, len);
        shim_config_parse(copy, len, &config);
        if (len >= SHIM_HEADER_SIZE)
            (void)shim_answer_header(copy, &answer);
        free(copy);
        text[len] = '\0';
        copy = exact(text, len + 1);
        shim_put_error(&b, SHIM_INTERNAL, (const char *const[]){copy, NULL});
        (void)shim_guard_has(copy, "off");
        (void)shim_dirname(copy, out, 16);
        (void)shim_plugin_name(copy);
        free(copy);
    }
}

int main(void)
{
    test_buffer_overflow_is_sticky();
    test_numbers();
    test_plugin_name();
    test_versions();
    test_environment();
    test_environment_of_command();
    test_request_bytes();
    test_request_overflow();
    test_answer_header();
    test_config();
    test_dirname();
    test_guard();
    test_error_json();
    test_errno_names();
    test_random_bytes();
    return check_failures != 0;
}
