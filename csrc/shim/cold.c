/*
 * The cold path: the same plugin in an interpreter of its own, with the
 * environment and standard input of the call.
 */
#include "shim.h"

/* Standard input was read already: give it back as a file. */
static void restore_stdin(const char *data, size_t len)
{
    char room[24];
    long fd = sys_memfd_create("cni-stdin");

    if (fd >= 0) {
        shim_write_all((int)fd, data, len);
        if (sys_lseek_start((int)fd) == 0)
            fd = sys_dup3((int)fd, 0, 0);
    }
    if (fd < 0)
        SHIM_FAIL(SHIM_INTERNAL,
                  "cannot hand stdin to the cold path: ", shim_errno_name(-fd, room));
}

/* The environment with this plugin added to the guard; it is built where the request was. */
static char **cold_environment(struct shim_call *call)
{
    static char guard_room[512];
    struct shim_buf guard = {.data = guard_room, .size = sizeof(guard_room)};
    char **env = (char **)(void *)call->request.data;
    size_t room = call->request.size / sizeof(*env), n = 0;

    shim_put_text(&guard, "CNIFAST_COLD=");
    if (call->guard && *call->guard) {
        shim_put_text(&guard, call->guard);
        shim_put_text(&guard, ":");
    }
    shim_put_string(&guard, call->plugin);
    if (guard.overflow)
        SHIM_FAIL(SHIM_INVALID_CONFIG, "too many plugins run each other in this call");
    for (char **e = call->envp; *e; e++) {
        char *const entry[] = {*e, NULL};

        if (n + 2 >= room)
            SHIM_FAIL(SHIM_INVALID_ENVIRONMENT, "too many environment variables");
        if (!shim_env_get(entry, "CNIFAST_COLD"))
            env[n++] = *e;
    }
    env[n++] = guard_room;
    env[n] = NULL;
    return env;
}

void shim_cold(struct shim_call *call, bool leave_service)
{
    char *python = (char *)(uintptr_t)shim_place.python;
    char *script = (char *)(uintptr_t)shim_place.script;
    char *argv[] = {
        python,
        "-I",
        "-S",
        "-Xutf8",
        script,
        (char *)(uintptr_t)call->plugin,
        leave_service ? call->socket : NULL,
        NULL,
    };
    char room[24];
    long rc;

    if (shim_place.python[0] == '\0' || shim_place.script[0] == '\0')
        SHIM_FAIL(SHIM_INTERNAL, "this plugin binary was copied and not installed: it does not "
                                 "know its Python (use `cnifast plugins install`)");
    restore_stdin(call->request.data + call->stdin_at, call->request.len - call->stdin_at);
    rc = sys_execve(python, argv, cold_environment(call));
    SHIM_FAIL(SHIM_INTERNAL, "cannot start ", python, ": ", shim_errno_name(-rc, room));
}
