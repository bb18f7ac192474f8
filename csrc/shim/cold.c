/*
 * The cold path: the same plugin in an interpreter of its own, with the
 * environment and standard input of the call.
 */
#include "shim.h"

#define SHIM_BESIDE ".cnifast/" CNIF_BUILD

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

/*
 * What a binary that was not told its Python looks for: an interpreter at the
 * places where distributions have it, and with that the package in a folder
 * beside the binary, as release archives carry it, or one that is installed.
 */
static const char *const interpreters[] = {"/usr/bin/python3", "/usr/local/bin/python3"};
static const char from_installed[] =
    "import sys\n"
    "try:\n"
    "    from cnifast.cli.plugin import main\n"
    "except Exception:\n"
    "    sys.stdout.write('{\"cniVersion\":\"1.1.0\",\"code\":999,\"msg\":\"this plugin binary "
    "does not know its Python, has no folder " SHIM_BESIDE " beside it, and the Python at '"
    "+ sys.executable + ' has no cnifast: unpack the whole archive, or use `cnifast plugins "
    "install`\"}\\n')\n"
    "    sys.exit(1)\n"
    "main(sys.argv[1:])\n";

/* The path of the archive's script beside this binary; NULL when it is not there. */
static const char *archived(char *room, size_t size)
{
    struct statx st;

    return shim_beside(SHIM_BESIDE "/start.py", room, size) &&
                   sys_statx(room, 0, STATX_TYPE, &st) >= 0
               ? room
               : NULL;
}

/* Become the first interpreter there is. */
_Noreturn static void become(const char *const *pythons, size_t count, char **argv, char **env)
{
    char room[24];

    for (size_t i = 0; i < count; i++) {
        long rc;

        argv[0] = (char *)(uintptr_t)pythons[i];
        rc = sys_execve(pythons[i], argv, env);
        if (rc != -ENOENT || count == 1)
            SHIM_FAIL(SHIM_INTERNAL, "cannot start ", pythons[i], ": ", shim_errno_name(-rc, room));
    }
    SHIM_FAIL(SHIM_INTERNAL, "no Python: cnifast needs one that is 3.11 or newer as ",
              interpreters[0], " or ", interpreters[1], ", or a service");
}

/* Whether this binary was told its Python and the script that enters the cold path. */
static bool is_told(void)
{
    return shim_place.python[0] != '\0' && shim_place.script[0] != '\0';
}

/* The start of the interpreter's command line, with the plugin's name; returns what follows it. */
static char **put_command(char **arg, const char *plugin)
{
    static char script_room[4096];
    const char *script = is_told() ? shim_place.script : archived(script_room, sizeof(script_room));

    *arg++ = "-I";
    if (script)
        *arg++ = "-S";
    *arg++ = "-Xutf8";
    if (!script)
        *arg++ = "-c";
    *arg++ = (char *)(uintptr_t)(script ? script : from_installed);
    *arg++ = (char *)(uintptr_t)plugin;
    return arg;
}

/* An interpreter says in words of its own that its script is gone. */
static void require_script(void)
{
    char room[24];
    struct statx st;
    long rc = sys_statx(shim_place.script, 0, STATX_TYPE, &st);

    if (rc < 0)
        SHIM_FAIL(SHIM_INTERNAL, "cannot start ", shim_place.script, ": ",
                  shim_errno_name(-rc, room));
}

_Noreturn static void become_any(char **argv, char **env)
{
    const char *python = shim_place.python;

    if (is_told()) {
        require_script();
        become(&python, 1, argv, env);
    }
    become(interpreters, sizeof(interpreters) / sizeof(interpreters[0]), argv, env);
}

void shim_cold(struct shim_call *call, bool leave_service)
{
    char *argv[8], **arg = put_command(argv + 1, call->plugin);

    *arg++ = leave_service ? call->socket : NULL;
    *arg = NULL;
    restore_stdin(call->request.data + call->stdin_at, call->request.len - call->stdin_at);
    become_any(argv, cold_environment(call));
}

void shim_program(const char *plugin, char *const words[], char **envp)
{
    static char *argv[64];
    char **arg = put_command(argv + 1, plugin);

    for (; *words; words++) {
        if (arg + 1 >= argv + sizeof(argv) / sizeof(argv[0]))
            SHIM_FAIL(SHIM_INVALID_ENVIRONMENT, "too many arguments");
        *arg++ = *words;
    }
    *arg = NULL;
    become_any(argv, envp);
}
