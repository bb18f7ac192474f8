/*
 * Two static programs.  The plugin binary (shim.c), one under every plugin name,
 * forwards the call to the resident service, or, where there is none, becomes a
 * Python interpreter that runs the plugin itself.  The command (command.c) does
 * the same for `cnifast add` and its like, and becomes Python for all others.
 *
 * Not a place for CNI semantics: a plugin answers VERSION and says what it is;
 * all else is decided in Python.  They take no memory from the kernel beyond
 * their own image, and run themselves only what the service says it has not done,
 * or has undone.
 */
#ifndef CNIF_SHIM_SHIM_H
#define CNIF_SHIM_SHIM_H

#include "frame.h"
#include "sys.h"

#define SHIM_PATH_ROOM 1008

/*
 * Written into the binary by `cnifast plugins install`, which finds it by its
 * mark: where the interpreter and the entry of the cold path are.
 */
struct shim_place {
    char mark[16];
    char build[16];
    char python[SHIM_PATH_ROOM];
    char script[SHIM_PATH_ROOM];
};

/* One call, as far as the shim cares. */
struct shim_call {
    const char *plugin;
    const char *netns; /* what goes along opened, if it can be; or NULL */
    char **envp;
    const char *guard; /* plugins that run cold further up */
    struct shim_buf request;
    size_t stdin_at; /* where standard input starts in the request */
    bool fits;       /* the request can be forwarded */
    uint32_t flags;  /* of the request */
    enum shim_mode mode;
    char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

enum shim_outcome {
    SHIM_NO_SERVICE, /* nobody listens */
    SHIM_UNUSABLE,   /* somebody might, but not for us */
    SHIM_ASKED_COLD, /* the service wants the call run here */
};

/* start.c: where the kernel enters. */
_Noreturn void shim_start(long *stack);

/* What each of the programs has its own of. */

/* The exit status of the whole call. */
int shim_main(char *const argv[], char **envp);

/* Report CNI error `code` and exit; `parts` ends with NULL. */
_Noreturn void shim_fail(enum shim_code code, const char *const parts[]);
#define SHIM_FAIL(code, ...) shim_fail(code, (const char *const[]){__VA_ARGS__, NULL})

/* The request was sent: bound the wait for the answer's first bytes, or wait for them. */
void shim_await(int fd);

/* Print what the service answered, and exit. */
_Noreturn void shim_print(int exit_code, const char *text, size_t len);

/* settle.c: write all of it; a negative errno when that cannot be done. */
long shim_write(int fd, const char *data, size_t len);

/* settle.c: write all of it, or exit. */
void shim_write_all(int fd, const char *data, size_t len);

/* settle.c: a closed standard descriptor would be taken by the next file that is opened. */
void shim_fill_stdio(void);

/* settle.c: mode and socket, by environment and configuration file. */
void shim_settle(struct shim_call *call);

/* settle.c: the path of `name` beside this program, also where a link leads to it; or false. */
bool shim_beside(const char *name, char *room, size_t size);

/*
 * forward.c: have the service answer the call.  Returns only while nothing was
 * done, with *ret_why naming the reason; exits once a request has been sent.
 */
enum shim_outcome shim_forward(struct shim_call *call, const char **ret_why);

/* cold.c: become the interpreter.  With `leave_service` it starts a service for the next call. */
_Noreturn void shim_cold(struct shim_call *call, bool leave_service);

/*
 * cold.c: become the interpreter for what is no call but a program of its own, with these words
 * behind the plugin's name, the last one NULL.
 */
_Noreturn void shim_program(const char *plugin, char *const words[], char **envp);

extern const struct shim_place shim_place;

#endif
