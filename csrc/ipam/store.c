#include "ipam/store.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define INDEX_DIR  ".cnifast"
#define OPEN_TRIES 3

static int set_paths(struct cnif_store *store, const struct cnif_ipam_dir *dir,
                     struct cnif_err *reterr)
{
    const char *name = dir->network;

    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strcmp(name, INDEX_DIR) == 0)
        return cnif_err_set(reterr, EINVAL, "network name '%s' cannot name a directory", name);
    if (snprintf(store->path, sizeof(store->path), "%s/%s", dir->data_dir, name) >=
            (int)sizeof(store->path) ||
        snprintf(store->index_dir, sizeof(store->index_dir), "%s/" INDEX_DIR, dir->data_dir) >=
            (int)sizeof(store->index_dir) ||
        snprintf(store->index_path, sizeof(store->index_path), "%s/" INDEX_DIR "/%s.index",
                 dir->data_dir, name) >= (int)sizeof(store->index_path))
        return cnif_err_errno(reterr, ENAMETOOLONG, "directory of network %s", name);
    return 0;
}

static int make_directories(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        int code;

        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        code = cnif_fault("make a directory");
        if (code)
            return -code;
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return -errno;
        part[i] = path[i];
    }
    return 0;
}

static int open_directory(struct cnif_store *store, bool create, struct cnif_err *reterr)
{
    store->dir_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd >= 0)
        return 0;
    if (errno == ENOENT && !create)
        return -ENOENT;
    if (errno == ENOENT) {
        int r = make_directories(store->path);

        if (r < 0)
            return cnif_err_errno(reterr, -r, "create %s", store->path);
        store->dir_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return store->dir_fd < 0 ? cnif_err_errno(reterr, errno, "open %s", store->path) : 0;
}

static int open_index(struct cnif_store *store, struct cnif_err *reterr)
{
    struct cnif_stamp stamp;
    struct stat st;

    if (fstat(store->dir_fd, &st) < 0)
        return cnif_err_errno(reterr, errno, "stat %s", store->path);
    stamp = cnif_stamp_from(&st);
    if (cnif_index_open(&store->index, store->index_path, &stamp))
        return 0;
    return cnif_store_rebuild(store, reterr);
}

int cnif_store_open(struct cnif_store *store, const struct cnif_ipam_dir *dir, bool create,
                    struct cnif_err *reterr)
{
    int r;

    store->dir_fd = -1;
    store->lock = (struct cnif_lock){.fd = -1, .slot = -1};
    store->rebuilt = false;
    cnif_index_init(&store->index);
    r = set_paths(store, dir, reterr);
    for (int tries = 0; r == 0 && tries < OPEN_TRIES; tries++) {
        r = open_directory(store, create, reterr);
        if (r < 0)
            break;
        r = cnif_lock_acquire(&store->lock, store->dir_fd, store->path, dir->lock_wait_ms, reterr);
        if (r != -ENOENT)
            break;
        cnif_closep(&store->dir_fd); /* removed between the two */
        r = 0;
    }
    if (r == 0 && store->dir_fd < 0)
        r = cnif_err_errno(reterr, ENOENT, "lock %s", store->path);
    if (r == 0)
        r = open_index(store, reterr);
    if (r < 0)
        cnif_store_close(store);
    return r;
}

/* ---- rebuilding ---- */

struct rebuild {
    struct cnif_store *store;
    struct cnif_err *reterr;
};

static int rebuild_one(void *arg, const char *name, const struct cnif_num *num)
{
    struct rebuild *rebuild = arg;
    struct cnif_store *store = rebuild->store;
    struct cnif_key key;
    int r = cnif_file_read(store->dir_fd, name, &key);

    if (r == -ENOENT)
        return 0;
    if (r == 0 && cnif_key_garbage(&key)) {
        if (cnif_file_remove(store->dir_fd, name) == 0)
            return 0;
        r = -EBADMSG;
    }
    if (r == -EBADMSG) {
        /* Taken, by nobody that could ask for it: the name stands for the owner. */
        key.n = strlen(name);
        memcpy(key.text, name, key.n);
    } else if (r < 0) {
        return cnif_err_errno(rebuild->reterr, -r, "read %s/%s", store->path, name);
    } else if (cnif_key_bare(&key)) {
        store->index.header.bare++;
    }
    cnif_index_insert(&store->index, cnif_key_hash(&key), num);
    return store->index.broken ? cnif_err_errno(rebuild->reterr, ENOMEM, "index %s", store->path)
                               : 0;
}

int cnif_store_rebuild(struct cnif_store *store, struct cnif_err *reterr)
{
    struct rebuild rebuild = {.store = store, .reterr = reterr};
    int r = cnif_index_reset(&store->index, 0);

    if (r < 0)
        return cnif_err_errno(reterr, -r, "index %s", store->path);
    if (reterr)
        reterr->code = 0;
    store->rebuilt = true;
    r = cnif_files_scan(store->dir_fd, rebuild_one, &rebuild);
    if (r < 0 && (!reterr || reterr->code == 0))
        return cnif_err_errno(reterr, -r, "read %s", store->path);
    return r;
}

struct audit {
    struct cnif_index *index;
    uint64_t n;
};

static int audit_one(void *arg, const char *name, const struct cnif_num *num)
{
    struct audit *audit = arg;

    (void)name;
    audit->n++;
    return !cnif_index_taken(audit->index, num);
}

int cnif_store_audit(struct cnif_store *store, struct cnif_err *reterr)
{
    struct audit audit = {.index = &store->index};
    int r;

    if (store->rebuilt)
        return 0;
    r = cnif_files_scan(store->dir_fd, audit_one, &audit);
    if (r < 0)
        return cnif_err_errno(reterr, -r, "read %s", store->path);
    if (r == 0 && !store->index.broken && audit.n == store->index.header.entries)
        return 0;
    return cnif_store_rebuild(store, reterr);
}

/* ---- committing ---- */

/*
 * Give the directory the present time to the nanosecond.  What the kernel sets
 * on a later change is another time, be it only of the tick before, so that
 * change cannot go unseen.  False where the directory is not ours to touch or
 * its filesystem keeps coarser times.
 */
static bool stamp_directory(struct cnif_store *store, struct cnif_stamp *ret)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    struct timespec coarse;
    struct stat st;

    if (cnif_fault("set the time of the directory"))
        return false;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &coarse);
    (void)clock_gettime(CLOCK_REALTIME, &times[1]);
    if (times[1].tv_nsec == coarse.tv_nsec)
        times[1].tv_nsec ^= 1;
    if (futimens(store->dir_fd, times) < 0 || fstat(store->dir_fd, &st) < 0 ||
        st.st_mtim.tv_sec != times[1].tv_sec || st.st_mtim.tv_nsec != times[1].tv_nsec)
        return false;
    *ret = cnif_stamp_from(&st);
    return true;
}

void cnif_store_commit(struct cnif_store *store)
{
    struct cnif_stamp stamp;

    if (!store->index.changed || store->index.broken || !stamp_directory(store, &stamp))
        return;
    if (cnif_index_save(&store->index, store->index_path, &stamp) != -ENOENT)
        return;
    if (!cnif_fault("make the index directory") && mkdir(store->index_dir, 0700) == 0)
        (void)cnif_index_save(&store->index, store->index_path, &stamp);
}

void cnif_store_close(struct cnif_store *store)
{
    cnif_index_done(&store->index);
    cnif_lock_release(&store->lock);
    cnif_closep(&store->dir_fd);
}
