/*
 * Becoming a program in a namespace: where it is, what it sees, and what is said when it cannot be.
 */
#include "check.h"
#include "kernel_node.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct kernel_node node;

/* The exit status of a child that becomes a program; 99 when it stays what it is. */
static int become(int netns, const char *const *argv, struct cnif_err *reterr, int report)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int r;

        (void)signal(SIGPIPE, SIG_IGN);
        r = cnif_netns_exec(netns, argv, reterr);
        if (report >= 0)
            (void)!write(report, reterr->msg, strlen(reterr->msg));
        _exit(r < 0 ? 99 : 98);
    }
    CHECK(pid > 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What a child that cannot become a program has to say. */
static void failure(int netns, const char *program, char *text, size_t size)
{
    const char *const argv[] = {program, NULL};
    struct cnif_err err = {0};
    ssize_t n;
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(become(netns, argv, &err, ends[1]) == 99);
    (void)close(ends[1]);
    n = read(ends[0], text, size - 1);
    (void)close(ends[0]);
    CHECK(n > 0);
    text[n > 0 ? n : 0] = 0;
}

static void test_place(void)
{
    static const char *const argv[] = {
        "sh", "-c",
        "ip link show inside >/dev/null && test -e /sys/class/net/inside && kill -s PIPE $$", NULL};
    struct cnif_err err = {0};
    struct kernel_node_traces before = kernel_node_traces();

    kernel_node_run(node.pod, "ip link add inside type veth peer name other");
    CHECK(become(node.pod, argv, &err, -1) == -SIGPIPE);
    CHECK(kernel_node_clean(&before));
    CHECK(access("/sys/class/net/inside", F_OK) < 0);
}

static void test_failures(void)
{
    char text[512];

    failure(node.pod, "no-such-program", text, sizeof(text));
    CHECK(strstr(text, "execute no-such-program"));
    failure(-1, "true", text, sizeof(text));
    CHECK(strstr(text, "enter network namespace"));
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    kernel_node_open(&node);
    test_place();
    test_failures();
    kernel_node_close(&node);
    return check_failures != 0;
}
