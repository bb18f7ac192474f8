/*
 * The files of one network's directory, in the reference's format: one per
 * address, named by it, holding its owner, and last_reserved_ip.<set> with the
 * address handed out last.
 *
 *     10.1.0.5            <container ID> CR LF <interface name>
 *     10.1.0.6            <container ID>                         (older still)
 *     last_reserved_ip.0  10.1.0.6
 *
 * An address file appears with its content or not at all.  Not locked: the
 * caller holds the network's lock.
 */
#ifndef CNIF_IPAM_FILES_H
#define CNIF_IPAM_FILES_H

#include "base/err.h"
#include "ipam/addr.h"

#define CNIF_KEY_MAX 1024

/* The content of an address file without white space around it: the owner. */
struct cnif_key {
    size_t n;
    char text[CNIF_KEY_MAX];
};

/* The owner's key, with the interface name or in the older form without; -ENAMETOOLONG. */
int cnif_key_make(struct cnif_key *ret, const char *container_id, const char *ifname);
bool cnif_key_equal(const struct cnif_key *a, const struct cnif_key *b);
uint64_t cnif_key_hash(const struct cnif_key *key);
/* Nothing that any version of the format writes: what a crash left behind. */
bool cnif_key_garbage(const struct cnif_key *key);
/* In the older form, without an interface name. */
bool cnif_key_bare(const struct cnif_key *key);

/*
 * Read the owner of address file `name`; -ENOENT, or another error.  A file
 * that is not ours to read gives -EBADMSG: taken, by an unknown owner.
 */
int cnif_file_read(int dir_fd, const char *name, struct cnif_key *ret);

/* Make address file `name` with its content; -EEXIST when there is one. */
int cnif_file_publish(int dir_fd, const char *name, const struct cnif_key *key);

int cnif_file_remove(int dir_fd, const char *name);

/*
 * Call `visit` for every address file until it returns non-zero; returns that,
 * 0, or a negative errno.  Removes temporary files of ours on the way.
 */
int cnif_files_scan(int dir_fd,
                    int (*visit)(void *arg, const char *name, const struct cnif_num *num),
                    void *arg);

/* The record of the address handed out last from a set; zeroed but for fd = -1 before it is read.
 */
struct cnif_last {
    int fd;   /* owned; -1: not open */
    size_t n; /* bytes in the file */
    struct cnif_num num;
};

/* False if there is no address on record. */
bool cnif_last_read(struct cnif_last *last, int dir_fd, uint32_t set);
int cnif_last_write(struct cnif_last *last, int dir_fd, uint32_t set, const char *text);

#endif
