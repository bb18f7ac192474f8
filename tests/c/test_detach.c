/*
 * Deleting links on the real kernel: the name is free at once, whoever else deletes or announces
 * at the same time, and whoever lingers holds nothing of the caller's.
 */
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct kernel_node node;
static struct cnif_err err;

static void start(void)
{
    kernel_node_open(&node);
}

static void finish(void)
{
    kernel_node_close(&node);
}

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* A pair, one end on the bridge, the other in the container under the name eth0. */
static int32_t add_pair(const char *name, const char *alias)
{
    struct cnif_link_spec spec = {.kind = "veth",
                                  .name = name,
                                  .master = node.bridge,
                                  .netns_fd = -1,
                                  .up = true,
                                  .peer = {.name = "eth0", .netns_fd = node.pod}};
    struct cnif_link_change change = {.master = -1, .netns_fd = -1, .alias = alias};
    struct cnif_link link = {0};

    if (cnif_link_add(node.host, &spec, NULL, &err) < 0 ||
        cnif_link_get(node.host, name, 0, &link, &err) < 0 ||
        cnif_link_change(node.host, link.index, &change, &err) < 0)
        (void)fprintf(stderr, "add pair: %s\n", err.msg);
    CHECK(link.index != 0);
    return link.index;
}

static int detach(int netns, const char *name, const char *alias, bool *found)
{
    struct kernel_node_traces before = kernel_node_traces();
    int r = cnif_detach(netns, name, alias, CNIF_LINGER_THREAD, found, &err);

    CHECK(kernel_node_clean(&before));
    return r;
}

static bool on_host(const char *name)
{
    struct cnif_link link;

    return cnif_link_get(node.host, name, 0, &link, NULL) == 0;
}

/* Either end takes both away, and the names can be used again at once. */
static void test_either_end(void)
{
    struct kernel_node_traces before;
    bool found;
    int i;

    start();
    before = kernel_node_traces();
    for (i = 0; i < 20; i++) {
        int netns = i % 2 ? node.pod : -1;

        (void)add_pair("veth0", "mine");
        found = false;
        CHECK(cnif_detach(netns, i % 2 ? "eth0" : "veth0", NULL, CNIF_LINGER_THREAD, &found,
                          &err) == 0);
        CHECK(found && !on_host("veth0"));
    }
    CHECK(kernel_node_clean(&before));
    finish();
}

/* What is not there, or could not be, is no error. */
static void test_absent(void)
{
    static const char *const names[] = {"veth0", "", "a-name-that-is-too-long", "a/b"};
    size_t i;

    start();
    for (i = 0; i < 4; i++) {
        bool found = true;

        CHECK(detach(-1, names[i], NULL, &found) == 0 && !found);
    }
    finish();
}

/* A link with another owner's name in its alias is left alone; one with none is taken. */
static void test_alias(void)
{
    bool found = true;
    int32_t index;

    start();
    index = add_pair("veth0", "theirs");
    CHECK(detach(-1, "veth0", "mine", &found) == 0 && !found);
    CHECK(detach(-1, "veth0", "their", &found) == 0 && !found);
    CHECK((int32_t)if_nametoindex("veth0") == index);
    CHECK(detach(-1, "veth0", "theirs", &found) == 0 && found);
    (void)add_pair("veth0", "");
    CHECK(detach(-1, "veth0", "mine", &found) == 0 && found);
    CHECK(!on_host("veth0"));
    finish();
}

/* A link that the kernel does not delete is an error, and stays. */
static void test_refused(void)
{
    bool found = true;

    start();
    memset(&err, 0, sizeof(err));
    CHECK(detach(-1, "lo", NULL, &found) == -EOPNOTSUPP);
    CHECK(strcmp(err.msg, "delete link lo: operation not supported") == 0);
    CHECK(on_host("lo") && found);
    finish();
}

/* A descriptor that is no namespace is an error. */
static void test_no_namespace(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool found = true;

    start();
    CHECK(detach(fd, "eth0", NULL, &found) == -EINVAL && found);
    CHECK(strcmp(err.msg, "enter network namespace: invalid argument") == 0);
    (void)close(fd);
    finish();
}

/* Several who delete the same link at the same moment. */
struct race {
    pthread_barrier_t go;
    int32_t index;
    int results[3];
    bool found[3];
};

struct racer {
    struct race *race;
    int which;
};

static void *run_racer(void *arg)
{
    struct racer *racer = arg;
    struct race *race = racer->race;
    struct cnif_nlsock *sock;
    int r = cnif_nlsock_open(NETLINK_ROUTE, -1, &sock, NULL);

    (void)pthread_barrier_wait(&race->go);
    if (r == 0 && racer->which == 2)
        r = cnif_link_delete(sock, race->index, NULL);
    else if (r == 0)
        r = cnif_detach(racer->which ? node.pod : -1, racer->which ? "eth0" : "veth0", NULL,
                        CNIF_LINGER_THREAD, &race->found[racer->which], NULL);
    race->results[racer->which] = r;
    cnif_nlsock_close(sock);
    return NULL;
}

/* A link that somebody else deletes meanwhile is deleted all the same. */
static void test_deleted_by_several(void)
{
    struct kernel_node_traces before;
    int i, n;

    start();
    before = kernel_node_traces();
    for (i = 0; i < 30; i++) {
        struct race race = {.index = add_pair("veth0", "mine")};
        struct racer racers[3];
        pthread_t threads[3];

        (void)pthread_barrier_init(&race.go, NULL, 3);
        for (n = 0; n < 3; n++) {
            racers[n] = (struct racer){&race, n};
            if (pthread_create(&threads[n], NULL, run_racer, &racers[n]) != 0)
                abort();
        }
        for (n = 0; n < 3; n++)
            (void)pthread_join(threads[n], NULL);
        CHECK(race.results[0] == 0 && race.results[1] == 0);
        CHECK(race.results[2] == 0 || race.results[2] == -ENODEV);
        CHECK(!on_host("veth0"));
        (void)pthread_barrier_destroy(&race.go);
    }
    CHECK(kernel_node_clean(&before));
    finish();
}

static volatile bool churning;

static void *churn(void *arg)
{
    struct cnif_link_spec spec = {.kind = "veth",
                                  .name = "churn0",
                                  .netns_fd = -1,
                                  .peer = {.name = "churn1", .netns_fd = -1}};
    struct cnif_nlsock *sock;
    bool found;

    (void)arg;
    if (cnif_nlsock_open(NETLINK_ROUTE, -1, &sock, NULL) < 0)
        abort();
    while (churning) {
        (void)cnif_link_add(sock, &spec, NULL, NULL);
        (void)cnif_detach(-1, "churn1", NULL, CNIF_LINGER_THREAD, &found, NULL);
    }
    cnif_nlsock_close(sock);
    return NULL;
}

/* While other links come and go, the right one is seen to go. */
static void test_churn(void)
{
    struct kernel_node_traces before;
    pthread_t threads[2];
    bool found;
    int i;

    start();
    before = kernel_node_traces();
    churning = true;
    for (i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, churn, NULL) != 0)
            abort();
    }
    for (i = 0; i < 50; i++) {
        (void)add_pair("veth0", "mine");
        CHECK(cnif_detach(-1, "veth0", "mine", CNIF_LINGER_THREAD, &found, &err) == 0 && found);
        CHECK(!on_host("veth0"));
    }
    churning = false;
    for (i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    CHECK(kernel_node_clean(&before));
    finish();
}

/* In a process about to exit: delete and go, as a plugin does. */
static void delete_and_exit(void)
{
    bool found = false;
    int r = cnif_detach(-1, "veth0", "mine", CNIF_LINGER_PROCESS, &found, NULL);

    _exit(r == 0 && found ? 0 : 1);
}

/* Who waits for the output of a process that has exited does not wait for who lingers. */
static void test_process_lets_go_of_stdio(void)
{
    bool lingered = false;
    int i;

    start();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (i = 0; i < 10; i++) {
        struct pollfd ended = {.events = POLLIN};
        int fds[2], status = -1;
        char byte;
        pid_t pid;

        (void)add_pair("veth0", "mine");
        if (pipe(fds) < 0)
            abort();
        pid = fork();
        if (pid == 0) {
            (void)dup2(fds[1], 0);
            (void)dup2(fds[1], 1);
            (void)dup2(fds[1], 2);
            (void)close_range(3, ~0U, 0);
            node.host = NULL;
            delete_and_exit();
        }
        (void)close(fds[1]);
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK(!on_host("veth0"));
        ended.fd = fds[0];
        /* the lingerer may not be through with closing */
        CHECK(poll(&ended, 1, 5000) == 1 && read(fds[0], &byte, 1) == 0);
        lingered = lingered || waitpid(-1, &status, WNOHANG) == 0;
        while (waitpid(-1, &status, 0) > 0)
            CHECK(status == 0);
        (void)close(fds[0]);
    }
    CHECK(lingered); /* at least once the pipe was seen to end before the lingerer */
    finish();
}

/* A process that lives on finds one child to reap for each deletion, and no descriptor left. */
static void test_process_that_lives_on(void)
{
    struct kernel_node_traces before;
    int status = -1;
    bool found;

    start();
    before = kernel_node_traces();
    (void)add_pair("veth0", "mine");
    CHECK(cnif_detach(-1, "veth0", "mine", CNIF_LINGER_PROCESS, &found, &err) == 0 && found);
    CHECK(!on_host("veth0"));
    CHECK(kernel_node_clean(&before));
    CHECK(waitpid(-1, &status, 0) > 0 && status == 0);
    CHECK(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD);
    finish();
}

/* With its standard descriptors closed a process deletes as well. */
static void test_process_without_stdio(void)
{
    int closed, status = -1;

    start();
    for (closed = 1; closed < 8; closed++) {
        pid_t pid;

        (void)add_pair("veth0", "mine");
        pid = fork();
        if (pid == 0) {
            int fd;

            for (fd = 0; fd < 3; fd++) {
                if (closed & 1 << fd)
                    (void)close(fd);
            }
            delete_and_exit();
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK(!on_host("veth0"));
        while (waitpid(-1, &status, 0) > 0)
            CHECK(status == 0);
    }
    finish();
}

/* A child of a process whose threads have lingered can delete with threads of its own. */
static void test_after_fork(void)
{
    int status = -1;
    bool found;
    pid_t pid;

    start();
    (void)add_pair("veth0", "mine");
    CHECK(detach(-1, "veth0", NULL, &found) == 0);
    (void)add_pair("veth0", "mine");
    pid = fork();
    if (pid == 0)
        _exit(cnif_detach(-1, "veth0", "mine", CNIF_LINGER_THREAD, &found, NULL) == 0 && found ? 0
                                                                                               : 1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(!on_host("veth0"));
    finish();
}

/* Threads that have nothing to do any more end by themselves. */
static void test_threads_end(void)
{
    int waited;

    for (waited = 0; waited < 15000 && kernel_node_threads() > 1; waited += 100)
        sleep_ms(100);
    CHECK(kernel_node_threads() == 1);
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    test_either_end();
    test_absent();
    test_alias();
    test_refused();
    test_no_namespace();
    test_deleted_by_several();
    test_churn();
    test_process_lets_go_of_stdio();
    test_process_that_lives_on();
    test_process_without_stdio();
    test_after_fork();
    test_threads_end();
    return check_failures != 0;
}
