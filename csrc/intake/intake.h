/* Connections of plugin binaries to the service. */
#ifndef CNIF_INTAKE_INTAKE_H
#define CNIF_INTAKE_INTAKE_H

#include "cnifast.h"

#define CNIF_INTAKE_ROOM 16384
#define CNIF_INTAKE_FDS  2

/* A connection of a process: who and where it is, what it sent, and its descriptors. */
struct cnif_intake {
    uint64_t home_cookie, home_dev, home_ino; /* the service's own network namespace */
    uint64_t root_mount, root_inode;          /* the service's root directory now */
    int conn;                                 /* -1: none */
    int32_t pid;                              /* as seen from here */
    uint32_t uid;
    int host_netns; /* the caller's network namespace; -1: the service's own */
    int host_error; /* negative errno when it cannot be had, else 0 */
    struct cnif_err host_err;
    int32_t size; /* bytes in `data`, 0 at the stream's end; -1: nothing has come yet */
    uint32_t n_fds;
    int fds[CNIF_INTAKE_FDS];
    bool has_netns; /* the last of CNIF_INTAKE_FDS is a network namespace, */
    bool own_netns; /* namely that of the caller */
    bool truncated; /* more descriptors came than can be taken; those are closed */
    char data[CNIF_INTAKE_ROOM];
};

/*
 * The root directory's mount, together with its device, and inode.  A process
 * that has the same two now sees the same files.
 */
int cnif_root_id(uint64_t *ret_mount, uint64_t *ret_inode, struct cnif_err *reterr);

/*
 * Whether an absolute path leads the process to what it leads us to.  False
 * where there is nothing, or a symbolic link is on the way, says nothing yet.
 */
bool cnif_path_is_same(int32_t pid, const char *path);

/* Make room ready for connections to a service in the calling thread's network namespace. */
int cnif_intake_begin(struct cnif_intake *intake, struct cnif_err *reterr);
/*
 * Wait for a connection and take what has come over it by then.  Descriptors
 * are the caller's, whatever else is wrong with the request, and closed by
 * cnif_intake_end.
 */
int cnif_intake_accept(struct cnif_intake *intake, int listener, struct cnif_err *reterr);
/* Take what comes, if nothing had; waits as long as the socket's time limit is. */
int cnif_intake_wait(struct cnif_intake *intake, struct cnif_err *reterr);
/* Send without waiting; *ret_sent is how many bytes there was room for. */
int cnif_intake_answer(const struct cnif_intake *intake, const void *data, size_t size,
                       size_t *ret_sent, struct cnif_err *reterr);
/* Close the connection and all that came over it. */
void cnif_intake_end(struct cnif_intake *intake);

#endif
