/*
 * The command `cnifast`: what it does with networks is handed to the service,
 * words and environment as they are.  All else, and what the service does not
 * take, is done by the program that pip puts beside this one.
 */
#include "shim.h"

#define PROGRAM       "cnifast-python"
#define GRACE_SECONDS 2 /* for the service to undo, once a signal said that we shall end */
#define EXIT_SIGNAL   128
#define SIGNAL(n)     (UINT64_C(1) << ((n)-1))

static const struct {
    const char *name;
    uint32_t number;
} signals[] = {{"SIGHUP", 1}, {"SIGINT", 2}, {"SIGTERM", 15}};

/* Of the request, and then of an answer, which may be longer. */
static char request_room[SHIM_HEADER_SIZE + SHIM_PAYLOAD_MAX] __attribute__((aligned(16)));
static char *const *arguments;
static char **environment;
static const char *command;
static bool settling; /* the settings are being read */
static int signal_fd = -1;
static uint64_t mask;  /* of signals, as it was */
static uint32_t taken; /* the signal that is to end us, once the service knows of it */

/* One line on standard error, as the Python program writes it. */
_Noreturn static void end(int exit_code, const char *const parts[], enum shim_code code)
{
    static char room[8192];
    struct shim_buf b = {.data = room, .size = sizeof(room)};

    shim_put_text(&b, "cnifast ");
    shim_put_text(&b, command);
    shim_put_text(&b, ": ");
    for (; *parts; parts++)
        shim_put_text(&b, *parts);
    if (code) {
        shim_put_text(&b, " (code ");
        shim_put_number(&b, code);
        shim_put_text(&b, ")");
    }
    shim_put_text(&b, "\n");
    shim_write_all(2, b.data, b.len);
    sys_exit(exit_code);
}

_Noreturn static void become_python(void)
{
    static char program[4096];
    char room[24];
    long rc;

    settling = false;
    if (!shim_beside(PROGRAM, program, sizeof(program)))
        SHIM_FAIL(SHIM_INTERNAL, "cannot find out where this program is");
    rc = sys_execve(program, arguments, environment);
    SHIM_FAIL(SHIM_INTERNAL, "cannot start ", program, ": ", shim_errno_name(-rc, room));
}

void shim_fail(enum shim_code code, const char *const parts[])
{
    if (settling)
        become_python(); /* which looks at the words first, and then says the same */
    end(1, parts, code);
}

/* A signal ended us; `left` is what the service is still at. */
_Noreturn static void interrupted(bool left)
{
    int status = EXIT_SIGNAL + (int)taken;
    const char *name = "";

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (signals[i].number == taken)
            name = signals[i].name;
    if (!left)
        end(status, (const char *const[]){"interrupted by ", name, NULL}, 0);
    if (shim_streq(command, "add"))
        end(status,
            (const char *const[]){"interrupted by ", name,
                                  ", and the service undoes what it had begun", NULL},
            0);
    end(status,
        (const char *const[]){"interrupted by ", name, ", but the service goes on with it", NULL},
        0);
}

/*
 * A signal does not end the command: the service is told its number, undoes what
 * it has half done and answers that, unless it is at something that takes longer.
 */
void shim_await(int fd)
{
    struct sys_timespec grace = {.sec = GRACE_SECONDS}; /* the kernel writes what is left of it */
    struct sys_pollfd fds[2] = {{.fd = fd, .events = SYS_POLLIN},
                                {.fd = signal_fd, .events = SYS_POLLIN}};
    struct sys_signal signal = {0};

    for (;;) {
        long n = sys_ppoll(fds, 2, taken ? &grace : NULL);

        if (n == -EINTR)
            continue;
        if (n == 0)
            interrupted(true);
        if (n < 0 || fds[0].revents)
            return;
        if (sys_read(signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
            char number = (char)signal.number;
            struct sys_iovec iov = {.base = &number, .len = 1};
            struct sys_msghdr msg = {.iov = &iov, .iovlen = 1};

            (void)sys_sendmsg(fd, &msg);
            taken = signal.number;
            fds[1].fd = -1;
        }
    }
}

/* Signals end us again: whoever is to read may not do so for a long time. */
void shim_print(int exit_code, const char *text, size_t len)
{
    char room[24];
    long rc;

    (void)sys_sigprocmask(SYS_SIG_SETMASK, &mask, NULL);
    rc = shim_write(exit_code ? 2 : 1, text, len);
    if (rc < 0)
        end(1, (const char *const[]){"cannot print: ", shim_errno_name(-rc, room), NULL}, 0);
    sys_exit(exit_code);
}

static bool is_of_networks(const char *word)
{
    static const char *const words[] = {"add", "check", "del", "gc", "status"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (shim_streq(word, words[i]))
            return true;
    return false;
}

/* The signals that end us; one that is ignored would be taken all the same once it is blocked. */
static uint64_t ending(uint64_t blocked)
{
    uint64_t set = 0;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (!sys_ignores((int)signals[i].number))
            set |= SIGNAL(signals[i].number);
    return set & ~blocked;
}

/* Returns where the service is not to do it. */
static void hand_over(void)
{
    static struct shim_call call;
    uint64_t set;
    const char *why;

    call.plugin = "cnifast";
    call.envp = environment;
    call.flags = SHIM_FLAG_COMMAND;
    settling = true;
    shim_settle(&call);
    settling = false;
    if (call.mode == SHIM_MODE_OFF)
        return;
    call.request.data = request_room;
    call.request.size = SHIM_HEADER_SIZE + SHIM_PREFIX_MAX;
    shim_request_begin(&call.request, CNIF_BUILD, call.plugin, environment, shim_env_of_command);
    for (char *const *word = arguments + 1; *word; word++)
        shim_put_string(&call.request, *word);
    call.fits = !call.request.overflow;
    call.request.size = sizeof(request_room);
    (void)sys_sigprocmask(SYS_SIG_BLOCK, NULL, &mask);
    set = ending(mask);
    (void)sys_sigprocmask(SYS_SIG_BLOCK, &set, NULL);
    signal_fd = (int)sys_signalfd(set);
    (void)shim_forward(&call, &why);
    if (taken)
        interrupted(false);
    (void)sys_sigprocmask(SYS_SIG_SETMASK, &mask, NULL);
}

int shim_main(char *const argv[], char **envp)
{
    shim_fill_stdio();
    arguments = argv;
    environment = envp;
    command = argv[0] && argv[1] ? argv[1] : "";
    if (is_of_networks(command))
        hand_over();
    become_python();
}
