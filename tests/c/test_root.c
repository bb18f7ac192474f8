/* Whether another process sees the files that this one sees; that it may not is tested in Python.
 */
#include "check.h"
#include "cnifast.h"

#include <sys/wait.h>
#include <unistd.h>

/* A process has one root directory, and its child the same. */
static void test_root(void)
{
    uint64_t mount[2], inode[2];
    int status;
    pid_t pid;

    CHECK(cnif_root_id(&mount[0], &inode[0], NULL) == 0);
    pid = fork();
    if (pid == 0) {
        bool same = cnif_root_id(&mount[1], &inode[1], NULL) == 0 && mount[0] == mount[1] &&
                    inode[0] == inode[1];

        _exit(!same);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_paths(void)
{
    CHECK(cnif_path_is_same(getpid(), "/"));
    CHECK(cnif_path_is_same(getpid(), "/proc/version"));
    CHECK(!cnif_path_is_same(getpid(), "/no/such/file"));
    CHECK(!cnif_path_is_same(getpid(), "/proc/self")); /* a symbolic link */
    CHECK(!cnif_path_is_same(getpid(), "/proc/self/root/proc/version"));
    CHECK(!cnif_path_is_same(-1, "/"));
}

int main(void)
{
    test_root();
    test_paths();
    return check_failures != 0;
}
