/*
 * Every step of an operation is made to fail, and to be the last one of the
 * process.  Says so and passes where the core was built without CNIF_FAULTS.
 */
#include "ipam_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static const struct cnif_ipam_range *ranges(void)
{
    static struct cnif_ipam_range two[2];

    two[0] = range(0, "10.1.0.2", "10.1.0.250", "10.1.0.1");
    two[1] = range(1, "fd00::2", "fd00::ffff", "fd00::1");
    return two;
}

static int take_two(const char *id)
{
    struct cnif_ipam_grant grants[2];

    return allocate(id, ranges(), 2, NULL, grants);
}

static int try_release(const char *id)
{
    struct cnif_ipam_owner owner = {id, "eth0"};
    struct cnif_ipam_list list = {.n = 0};
    int r = cnif_ipam_release(&dir, &owner, &list, &err);

    cnif_ipam_list_free(&list);
    return r;
}

/* An allocation that fails has taken nothing and names the step; the next one succeeds. */
static void test_failing_allocation(bool fresh, int code)
{
    const char *failed = "";
    unsigned int n;

    for (n = 1; failed && n < 100; n++) {
        int r;

        start();
        if (!fresh)
            CHECK(take_two("before") == 0);
        CHECK(cnif_fault_arm(n, code) == 0);
        r = take_two("a");
        failed = cnif_fault_failed();
        CHECK(cnif_fault_arm(0, 0) == 0);
        if (r < 0)
            CHECK(err.code == code && *err.msg && count_addresses() == (fresh ? 0 : 2));
        else
            CHECK(count_addresses() == (fresh ? 2 : 4));
        CHECK((r == 0) == (*lookup("a") != '\0'));
        CHECK(take_two("b") == 0 && count_addresses() == (fresh ? 2 : 4) + (r == 0 ? 2 : 0));
        finish();
    }
    CHECK(!failed && n > 10);
}

/* Where there are no unnamed files, an address file is made under another name and renamed. */
static void test_without_unnamed_files(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.3", "10.1.0.1");
    bool seen = false;

    for (unsigned int n = 1; n < 30; n++) {
        struct cnif_ipam_grant grant;
        const char *failed;
        char content[64];

        start();
        CHECK(*take("before", &one) != '\0');
        CHECK(cnif_fault_arm(n, EOPNOTSUPP) == 0);
        (void)allocate("a", &one, 1, "10.1.0.3", &grant);
        failed = cnif_fault_failed();
        CHECK(cnif_fault_arm(0, 0) == 0);
        if (failed && strcmp(failed, "open an unnamed file") == 0) {
            seen = true;
            CHECK(chdir(net_dir) == 0 && read_file("10.1.0.3", content, sizeof(content)) == 7);
            CHECK(memcmp(content, "a\r\neth0", 7) == 0 && chdir("/") == 0);
            CHECK(cnif_fault_arm(n, EOPNOTSUPP) == 0);
            CHECK(allocate("b", &one, 1, "10.1.0.3", &grant) == -EADDRINUSE);
            CHECK(cnif_fault_arm(0, 0) == 0);
            CHECK(count_addresses() == 2 && strcmp(lookup("a"), "10.1.0.3") == 0);
        }
        finish();
    }
    CHECK(seen);
}

/* A release that fails can be repeated, and what it says is true of the files. */
static void test_failing_release(int code)
{
    const char *failed = "";
    unsigned int n;

    for (n = 1; failed && n < 100; n++) {
        int r;

        start();
        CHECK(take_two("a") == 0);
        CHECK(cnif_fault_arm(n, code) == 0);
        r = try_release("a");
        failed = cnif_fault_failed();
        CHECK(cnif_fault_arm(0, 0) == 0);
        CHECK(r == 0 ? count_addresses() == 0 : count_addresses() > 0);
        CHECK(try_release("a") == 0 && count_addresses() == 0 && *lookup("a") == '\0');
        finish();
    }
    CHECK(!failed && n > 4);
}

/* Run one operation in a child that dies at its n-th step; false when it has fewer steps. */
static bool die_at(unsigned int n, bool allocating, const char *id)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)cnif_fault_arm(n, CNIF_FAULT_KILL);
        _exit(allocating ? -take_two(id) : -try_release(id));
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        return true;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

/* Wherever an allocation dies, no file is without owner and DEL leaves nothing behind. */
static void test_dying_allocation(void)
{
    for (unsigned int n = 1; n < 100; n++) {
        bool died;

        start();
        CHECK(take_two("before") == 0);
        died = die_at(n, true, "a");
        CHECK(count_addresses() >= 2);
        CHECK(take_two("b") == 0 && take_two("before") == -EALREADY);
        CHECK(try_release("a") == 0 && *lookup("a") == '\0');
        CHECK(count_addresses() == 4);
        CHECK(try_release("b") == 0 && try_release("before") == 0 && count_addresses() == 0);
        finish();
        if (!died) {
            CHECK(n > 10);
            return;
        }
    }
    CHECK(false);
}

/* Wherever a release dies, the next one finishes it. */
static void test_dying_release(void)
{
    for (unsigned int n = 1; n < 100; n++) {
        bool died;

        start();
        CHECK(take_two("before") == 0 && take_two("a") == 0);
        died = die_at(n, false, "a");
        CHECK(try_release("a") == 0 && *lookup("a") == '\0' && *lookup("before") != '\0');
        CHECK(count_addresses() == 2);
        finish();
        if (!died) {
            CHECK(n > 4);
            return;
        }
    }
    CHECK(false);
}

int main(void)
{
    if (cnif_fault_arm(0, 0) < 0) {
        (void)fprintf(stderr, "built without CNIF_FAULTS: nothing to test\n");
        return 0;
    }
    test_failing_allocation(true, EIO);
    test_failing_allocation(false, ENOSPC);
    test_failing_allocation(false, EROFS);
    test_without_unnamed_files();
    test_failing_release(EIO);
    test_dying_allocation();
    test_dying_release();
    return check_failures != 0;
}
