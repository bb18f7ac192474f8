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

static char request_room[SHIM_HEADER_SIZE + SHIM_PREFIX_MAX] __attribute__((aligned(16)));
static const char *command;
static int signal_fd = -1;

/* One line on standard error, as the Python program writes it. */
_Noreturn static void end(int exit_code, const char *const parts[], enum shim_code code)
{
    static char room[4096];
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

void shim_fail(enum shim_code code, const char *const parts[])
{
    end(1, parts, code);
}

_Noreturn static void interrupted(uint32_t number)
{
    const char *name = "a signal";

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (signals[i].number == number)
            name = signals[i].name;
    end(EXIT_SIGNAL + (int)number,
        (const char *const[]){"interrupted by ", name, ", and the service undoes what it had begun",
                              NULL},
        0);
}

/*
 * A signal does not end the command: the service is told its number, undoes what
 * it has half done and answers that, unless it is at something that takes longer.
 */
void shim_await(int fd)
{
    const struct sys_timespec grace = {.sec = GRACE_SECONDS};
    struct sys_pollfd fds[2] = {{.fd = fd, .events = SYS_POLLIN},
                                {.fd = signal_fd, .events = SYS_POLLIN}};
    struct sys_signal signal = {0};

    for (;;) {
        long n = sys_ppoll(fds, 2, signal.number ? &grace : NULL);

        if (n == -EINTR)
            continue;
        if (n == 0)
            interrupted(signal.number);
        if (n < 0 || fds[0].revents)
            return;
        if (sys_read(signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
            char number = (char)signal.number;
            struct sys_iovec iov = {.base = &number, .len = 1};
            struct sys_msghdr msg = {.iov = &iov, .iovlen = 1};

            (void)sys_sendmsg(fd, &msg);
            fds[1].fd = -1;
        }
    }
}

void shim_print(int exit_code, const char *text, size_t len)
{
    shim_write_all(exit_code ? 2 : 1, text, len);
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
static uint64_t ending(void)
{
    uint64_t set = 0;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (!sys_ignores((int)signals[i].number))
            set |= SIGNAL(signals[i].number);
    return set;
}

/* Returns where the service is not to do it. */
static void hand_over(char *const argv[], char **envp)
{
    static struct shim_call call;
    uint64_t taken = ending();
    const char *why;

    call.plugin = "cnifast";
    call.envp = envp;
    call.flags = SHIM_FLAG_COMMAND;
    shim_settle(&call);
    if (call.mode == SHIM_MODE_OFF)
        return;
    call.request.data = request_room;
    call.request.size = sizeof(request_room);
    shim_request_begin(&call.request, CNIF_BUILD, call.plugin, envp, shim_env_of_command);
    for (argv++; *argv; argv++)
        shim_put_string(&call.request, *argv);
    call.fits = !call.request.overflow;
    (void)sys_sigprocmask(SYS_SIG_BLOCK, taken);
    signal_fd = (int)sys_signalfd(taken);
    (void)shim_forward(&call, &why);
    (void)sys_sigprocmask(SYS_SIG_UNBLOCK, taken);
}

int shim_main(char *const argv[], char **envp)
{
    static char program[4096];
    char room[24];
    long rc;

    shim_fill_stdio();
    command = argv[0] && argv[1] ? argv[1] : "";
    if (is_of_networks(command))
        hand_over(argv, envp);
    if (!shim_beside(PROGRAM, program, sizeof(program)))
        SHIM_FAIL(SHIM_INTERNAL, "cannot find out where this program is");
    rc = sys_execve(program, argv, envp);
    SHIM_FAIL(SHIM_INTERNAL, "cannot start ", program, ": ", shim_errno_name(-rc, room));
}
