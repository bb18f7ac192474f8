/*
 * The warm path: one request and one answer over the service's socket.
 */
#include "shim.h"

#define CONNECT_SECONDS 10 /* while the service's backlog is full */

/* An answer's usual size; longer ones continue in the room of the request. */
static char answer_room[8192];
static const char absent_text[] = "nobody listens on its socket";

/* Whoever may write to the socket's directory could put a socket of his own there. */
static bool directory_is_safe(const char *socket, const char **ret_why, bool *ret_absent)
{
    static char dir[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct statx st;
    long rc;

    (void)shim_dirname(socket, dir, sizeof(dir));
    rc = sys_statx(dir, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MODE | STATX_UID, &st);
    if (rc < 0) {
        *ret_absent = rc == -ENOENT;
        *ret_why = *ret_absent ? absent_text : "the directory of its socket cannot be examined";
        return false;
    }
    if ((st.stx_mode & S_IFMT) != S_IFDIR || (st.stx_mode & 0022) ||
        (st.stx_uid != 0 && st.stx_uid != sys_geteuid())) {
        *ret_why = "the directory of its socket can be written by others";
        return false;
    }
    return true;
}

static bool peer_is_trusted(int fd)
{
    struct sys_ucred peer = {.uid = (unsigned int)-1};

    return sys_peer(fd, &peer) >= 0 && (peer.uid == 0 || peer.uid == sys_geteuid());
}

/* A descriptor that is connected to the service, or -1 with the outcome. */
static int connect_service(const char *socket, enum shim_outcome *ret_outcome, const char **ret_why)
{
    static struct sockaddr_un addr;
    bool absent = false;
    long fd, rc;

    if (!directory_is_safe(socket, ret_why, &absent)) {
        *ret_outcome = absent ? SHIM_NO_SERVICE : SHIM_UNUSABLE;
        return -1;
    }
    addr.sun_family = SYS_AF_UNIX;
    for (size_t i = 0; socket[i]; i++)
        addr.sun_path[i] = socket[i];
    fd = sys_unix_socket();
    if (fd < 0) {
        *ret_outcome = SHIM_UNUSABLE;
        *ret_why = "no socket can be made";
        return -1;
    }
    (void)sys_set_timeout((int)fd, SO_SNDTIMEO_OLD, CONNECT_SECONDS);
    do
        rc = sys_connect((int)fd, &addr, sizeof(addr));
    while (rc == -EINTR);
    if (rc < 0) {
        bool absent_now = rc == -ENOENT || rc == -ECONNREFUSED;

        *ret_outcome = absent_now ? SHIM_NO_SERVICE : SHIM_UNUSABLE;
        *ret_why = absent_now      ? "nobody listens on its socket"
                   : rc == -EAGAIN ? "it is too busy to take the call"
                                   : "its socket refuses us";
        return -1;
    }
    if (!peer_is_trusted((int)fd)) {
        *ret_outcome = SHIM_UNUSABLE;
        *ret_why = "its socket is held by another user";
        return -1;
    }
    return (int)fd;
}

_Noreturn static void broken(const char *step, long rc)
{
    char room[24];

    SHIM_FAIL(SHIM_TRY_AGAIN_LATER, "the connection to the cnifast service broke ", step, " (",
              rc == 0 ? "end of stream" : shim_errno_name(-rc, room),
              "); the call may have been carried out in part");
}

static void send_all(int fd, struct shim_buf *frame, const int *fds, size_t n_fds)
{
    struct sys_rights rights = {
        .len = SYS_RIGHTS_LEN(n_fds),
        .level = SOL_SOCKET,
        .type = SYS_SCM_RIGHTS,
    };
    size_t sent = 0;

    for (size_t i = 0; i < n_fds; i++)
        rights.fds[i] = fds[i];
    while (sent < frame->len) {
        struct sys_iovec iov = {.base = frame->data + sent, .len = frame->len - sent};
        struct sys_msghdr msg = {.iov = &iov, .iovlen = 1};
        long n;

        if (sent == 0 && n_fds) {
            msg.control = &rights;
            msg.controllen = rights.len;
        }
        n = sys_sendmsg(fd, &msg);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            broken("while the request was sent", n);
        sent += (size_t)n;
    }
}

/* At least `want` bytes, and what else has come by then, at most `size`. */
static size_t receive(int fd, char *to, size_t have, size_t want, size_t size)
{
    while (have < want) {
        long n = sys_read(fd, to + have, size - have);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            broken("before it answered", n);
        have += (size_t)n;
    }
    return have;
}

_Noreturn static void print_result(int fd, size_t have, size_t total, char *room, size_t room_size)
{
    const char *answer = answer_room;
    const unsigned char *code;

    if (total > sizeof(answer_room)) {
        for (size_t i = 0; i < have; i++)
            room[i] = answer_room[i];
        (void)receive(fd, room, have, total, room_size);
        answer = room;
    } else {
        (void)receive(fd, answer_room, have, total, sizeof(answer_room));
    }
    code = (const unsigned char *)answer + SHIM_HEADER_SIZE;
    shim_print(code[1] | code[2] | code[3] ? 1 : code[0], answer + SHIM_HEADER_SIZE + 4,
               total - SHIM_HEADER_SIZE - 4);
}

/*
 * What tells our root directory from those of other processes; intake/root.c
 * says the same of the service's.  /proc could tell the mount namespace, but
 * what it shows of a process that is new has to be made first, in 40 us.
 */
static bool identify_root(struct shim_root *ret)
{
    struct statx root;

    if (sys_statx("/", 0, STATX_INO | STATX_MNT_ID, &root) < 0)
        return false;
    ret->mount = root.stx_mnt_id << 32 | (uint64_t)root.stx_dev_major << 20 | root.stx_dev_minor;
    ret->inode = root.stx_ino;
    return true;
}

enum shim_outcome shim_forward(struct shim_call *call, const char **ret_why)
{
    enum shim_outcome outcome = SHIM_UNUSABLE;
    struct shim_answer answer;
    struct shim_root root;
    size_t have, n_fds = 0;
    int fds[2], fd;
    long rc;

    if (!call->fits) {
        *ret_why = "the CNI_ environment variables are longer than 64 KiB";
        return SHIM_UNUSABLE;
    }
    /* All of it before the service wakes up, so that it finds the request when it looks. */
    if (!identify_root(&root)) {
        *ret_why = "the root directory cannot be examined";
        return SHIM_UNUSABLE;
    }
    if (!(call->flags & SHIM_FLAG_COMMAND))
        fds[n_fds++] = 2; /* for what a plugin writes there */
    if (call->netns && *call->netns) {
        /* not opened is no error here: what it means depends on the command */
        rc = sys_open(call->netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (rc >= 0) {
            fds[n_fds++] = (int)rc;
            call->flags |= SHIM_FLAG_NETNS;
        }
    }
    shim_request_end(&call->request, &root, call->flags);
    fd = connect_service(call->socket, &outcome, ret_why);
    if (fd < 0)
        return outcome;
    send_all(fd, &call->request, fds, n_fds);
    shim_await(fd);
    have = receive(fd, answer_room, 0, SHIM_HEADER_SIZE, sizeof(answer_room));
    if (!shim_answer_header(answer_room, &answer))
        SHIM_FAIL(SHIM_TRY_AGAIN_LATER, "the cnifast service gave an answer that is none");
    if (answer.kind == SHIM_RUN_COLD) {
        *ret_why = "it asks for a process of its own";
        return SHIM_ASKED_COLD;
    }
    print_result(fd, have, SHIM_HEADER_SIZE + answer.length, call->request.data,
                 call->request.size);
}
