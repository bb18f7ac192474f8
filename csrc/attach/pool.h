/*
 * A few threads for work that a caller need not stand by for.
 *
 * Threads are made when all others are busy and leave when there was nothing
 * to do for a while; none of them is in another namespace than the thread that
 * first asked for it, so that a task brings its sockets along.
 */
#ifndef CNIF_ATTACH_POOL_H
#define CNIF_ATTACH_POOL_H

/* To be embedded in what the task works on; `run` owns it from then on. */
struct cnif_task {
    void (*run)(struct cnif_task *task);
    struct cnif_task *next;
};

/* 0, or a negative errno: no thread can be had, and the task was not taken. */
int cnif_pool_submit(struct cnif_task *task);

#endif
