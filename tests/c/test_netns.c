/*
 * Visits to network namespaces, before and after a process has settled: every thread comes back
 * to where it was, also from a visit within a visit.
 */
#include "check.h"
#include "kernel_node.h"
#include "netlink/nlsock.h"
#include "netns/netns.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

static struct kernel_node node;
static int other;
static struct cnif_err err;

/* The inode of the namespace that the thread is in, or of an open one. */
static uint64_t inode(int fd)
{
    uint64_t dev, ino = 0;

    CHECK(cnif_netns_id(fd, &dev, &ino, &err) == 0);
    return ino;
}

/* There and back, also by way of another one. */
static void *travel(void *home)
{
    struct cnif_netns_visit outer, inner;

    for (int i = 0; i < 3; i++) {
        CHECK(cnif_netns_enter(&outer, node.pod, &err) == 0);
        CHECK(inode(-1) == inode(node.pod));
        CHECK(cnif_netns_enter(&inner, other, &err) == 0);
        CHECK(inode(-1) == inode(other));
        cnif_netns_leave(&inner);
        CHECK(inode(-1) == inode(node.pod));
        cnif_netns_leave(&outer);
        CHECK(inode(-1) == *(uint64_t *)home);
        CHECK(cnif_netns_enter(&outer, -1, &err) == 0); /* no visit at all */
        cnif_netns_leave(&outer);
        CHECK(inode(-1) == *(uint64_t *)home);
        CHECK(cnif_netns_enter(&outer, node.host->fd, &err) < 0); /* no namespace */
        CHECK(inode(-1) == *(uint64_t *)home);
    }
    return NULL;
}

/* Before anything is settled, a thread may live somewhere else. */
static void *live_elsewhere(void *unused)
{
    uint64_t home = inode(other);

    (void)unused;
    CHECK(setns(other, CLONE_NEWNET) == 0);
    return travel(&home);
}

static void in_threads(void *(*run)(void *), void *arg)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, run, arg) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void test_unsettled(void)
{
    CHECK(!cnif_netns_is_settled());
    (void)travel(&node.home);
    in_threads(travel, &node.home);
    in_threads(live_elsewhere, NULL);
}

/* Where no file can be opened, who has settled still finds the way back, but not to a place
 * between. */
static void *travel_light(void *home)
{
    struct cnif_netns_visit outer, inner;

    for (int i = 0; i < 3; i++) {
        CHECK(cnif_netns_enter(&outer, node.pod, &err) == 0);
        CHECK(inode(-1) == inode(node.pod));
        CHECK(cnif_netns_enter(&inner, other, &err) == -EMFILE);
        CHECK(inode(-1) == inode(node.pod));
        cnif_netns_leave(&outer);
        CHECK(inode(-1) == *(uint64_t *)home);
        CHECK(cnif_netns_enter(&outer, node.host->fd, &err) == -EINVAL); /* no namespace */
        CHECK(inode(-1) == *(uint64_t *)home);
    }
    return NULL;
}

/* Settling costs one descriptor, once; no visit from home needs another. */
static void test_settled(void)
{
    struct kernel_node_traces before = kernel_node_traces();
    struct rlimit files, none;

    CHECK(cnif_netns_settle(&err) == 0);
    CHECK(cnif_netns_settle(&err) == 0);
    CHECK(cnif_netns_is_settled());
    before.fds++;
    (void)travel(&node.home);
    in_threads(travel, &node.home);
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    none = files;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    (void)travel_light(&node.home);
    in_threads(travel_light, &node.home);
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    CHECK(cnif_netns_create("/tmp", &err) < 0); /* there is something */
    CHECK(inode(-1) == node.home);
    (void)travel(&node.home);
    CHECK(kernel_node_clean(&before));
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    kernel_node_open(&node);
    other = kernel_node_container();
    test_unsettled();
    test_settled();
    (void)close(other);
    kernel_node_close(&node);
    return check_failures != 0;
}
