/*
 * The plugin binary's part: the course of one call.  What to do is decided here,
 * from the environment; forward.c and cold.c do it.
 */
#include "shim.h"

#define ANSWER_SECONDS 120 /* while the service works */

/* One byte more than is allowed, to see that there was more. */
static char request_room[SHIM_HEADER_SIZE + SHIM_PAYLOAD_MAX + 1] __attribute__((aligned(16)));

void shim_fail(enum shim_code code, const char *const parts[])
{
    static char room[4096];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_error(&b, code, parts);
    if (b.overflow) {
        static const char *const lost[] = {"the reason is too long to print", NULL};

        b.len = 0;
        b.overflow = false;
        shim_put_error(&b, code, lost);
    }
    shim_write_all(1, b.data, b.len);
    sys_exit(1);
}

void shim_await(int fd)
{
    (void)sys_set_timeout(fd, SO_RCVTIMEO_OLD, ANSWER_SECONDS);
}

void shim_print(int exit_code, const char *text, size_t len)
{
    shim_write_all(1, text, len);
    sys_exit(exit_code);
}

static int about(const char *plugin)
{
    static char room[512];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_text(&b, "CNI ");
    shim_put_text(&b, plugin);
    shim_put_text(&b, " plugin " CNIF_BUILD "\nCNI protocol versions supported: ");
    shim_put_versions(&b, plugin, ", ");
    shim_put_text(&b, "\n");
    shim_write_all(2, b.data, b.len);
    return 0;
}

static int version(const char *plugin)
{
    static char room[256];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_text(&b, "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"");
    shim_put_versions(&b, plugin, "\",\"");
    shim_put_text(&b, "\"]}\n");
    shim_write_all(1, b.data, b.len);
    return 0;
}

static void read_stdin(struct shim_buf *b)
{
    size_t limit = b->len + SHIM_STDIN_MAX;

    for (;;) {
        long n = sys_read(0, b->data + b->len, limit + 1 - b->len);
        char room[24];

        if (n == -EINTR)
            continue;
        if (n < 0)
            SHIM_FAIL(SHIM_IO_FAILURE, "error reading from stdin: ", shim_errno_name(-n, room));
        if (n == 0)
            return;
        b->len += (size_t)n;
        if (b->len > limit)
            SHIM_FAIL(SHIM_DECODING_FAILURE,
                      "the network configuration on stdin is larger than 1 MiB");
    }
}

/* `dhcp daemon ...` keeps leases, as that of the reference does; there is no other such program. */
static bool is_program(const char *plugin, char *const argv[])
{
    return argv[0] && argv[1] && shim_streq(plugin, "dhcp") && shim_streq(argv[1], "daemon");
}

int shim_main(char *const argv[], char **envp)
{
    static struct shim_call call;
    const char *command = shim_env_get(envp, "CNI_COMMAND");
    enum shim_outcome outcome;
    const char *why = "";

    shim_fill_stdio();
    call.plugin = shim_plugin_name(argv[0]);
    call.envp = envp;
    if (is_program(call.plugin, argv))
        shim_program(call.plugin, argv + 1, envp);
    if (!command || !*command)
        return about(call.plugin);
    if (shim_streq(command, "VERSION"))
        return version(call.plugin);
    call.netns = shim_env_get(envp, "CNI_NETNS");
    call.guard = shim_env_get(envp, "CNIFAST_COLD");
    if (shim_guard_has(call.guard, call.plugin))
        SHIM_FAIL(SHIM_INVALID_CONFIG, "plugin ", call.plugin,
                  " already runs further up in this call (", call.guard,
                  "): the configuration delegates in a circle");

    call.request.data = request_room;
    call.request.size = SHIM_HEADER_SIZE + SHIM_PREFIX_MAX;
    shim_request_begin(&call.request, CNIF_BUILD, call.plugin, envp, shim_env_forwarded);
    call.fits = !call.request.overflow;
    if (!call.fits)
        call.request.len = 0;
    call.stdin_at = call.request.len;
    call.request.size = sizeof(request_room);
    read_stdin(&call.request);

    shim_settle(&call);
    if (call.mode == SHIM_MODE_OFF)
        shim_cold(&call, false);
    outcome = shim_forward(&call, &why);
    if (call.mode == SHIM_MODE_REQUIRED && outcome != SHIM_ASKED_COLD)
        SHIM_FAIL(SHIM_TRY_AGAIN_LATER, "the cnifast service cannot be used: ", why);
    shim_cold(&call, outcome == SHIM_NO_SERVICE);
}
