/*
 * One operation's hold on a network: its directory, its lock, and an index that
 * agrees with the files.
 *
 * Open, act, commit, close; nothing stays open in between.  What the caller
 * changes in the directory it also tells the index; commit then gives the
 * directory a time of its own and stores the index under it.  A hold that is
 * closed without commit, or a process that dies, leaves an index that does not
 * fit the directory, and the next one rebuilds it.
 */
#ifndef CNIF_IPAM_STORE_H
#define CNIF_IPAM_STORE_H

#include "base/err.h"
#include "ipam/files.h"
#include "ipam/index.h"
#include "ipam/lock.h"

#include <limits.h>

struct cnif_store {
    char path[PATH_MAX];
    char index_dir[PATH_MAX];
    char index_path[PATH_MAX];
    int dir_fd;
    struct cnif_lock lock;
    struct cnif_index index;
    bool rebuilt; /* the index was made from the files in this hold */
};

/*
 * Lock and open the network's directory; -ENOENT without a message when there
 * is none and `create` is not set.
 */
int cnif_store_open(struct cnif_store *store, const struct cnif_ipam_dir *dir, bool create,
                    struct cnif_err *reterr);

/* Make the index from the files, removing those that a crash left without an owner. */
int cnif_store_rebuild(struct cnif_store *store, struct cnif_err *reterr);

/* Compare the names in the directory with the index; rebuild if they differ. */
int cnif_store_audit(struct cnif_store *store, struct cnif_err *reterr);

/* Store the index.  Cannot fail: without a stored index the next hold rebuilds it. */
void cnif_store_commit(struct cnif_store *store);

void cnif_store_close(struct cnif_store *store);

#endif
