/*
 * A private node for tests on the real kernel: a network namespace of this process's own with a
 * bridge, and others that stand for containers.  Needs root.
 *
 * State is shown as text, so that two states can be compared and printed.
 */
#ifndef CNIF_TESTS_KERNEL_NODE_H
#define CNIF_TESTS_KERNEL_NODE_H

#include "cnifast.h"

#include <stdbool.h>
#include <stddef.h>

#define NODE_TEXT 8192

struct kernel_node {
    struct cnif_nlsock *host;
    int32_t bridge; /* index of "br0", which is up */
    int pod;        /* a container's namespace */
    uint64_t home;  /* inode of the host's namespace */
};

/* Leave the machine's network for good; false where that is not possible, with the reason said. */
bool kernel_node_enter(void);

/* The same for a test that makes steps fail, which a core without CNIF_FAULTS cannot. */
bool kernel_node_enter_to_fail(void);

/* How many threads this process has. */
unsigned kernel_node_threads(void);

/* A fresh host with a bridge and a container; the process is on it afterwards. */
void kernel_node_open(struct kernel_node *node);
/* Close what kernel_node_open opened; the kernel then takes the rest away. */
void kernel_node_close(struct kernel_node *node);

/* One more container's namespace; the caller closes it. */
int kernel_node_container(void);

/* Run a shell command in a namespace, -1: the host's; ends the program if it fails. */
void kernel_node_run(int netns, const char *command);

/* Links, addresses (but for link-local ones) and routes of host and container. */
void kernel_node_state(const struct kernel_node *node, char text[NODE_TEXT]);

/* What a call must leave as it found it. */
struct kernel_node_traces {
    unsigned fds;
    uint64_t netns;
};

struct kernel_node_traces kernel_node_traces(void);
/* Whether all is as before, once what lingers has let go of its sockets; says what is not. */
bool kernel_node_clean(const struct kernel_node_traces *before);

/* An address such as "10.1.0.5" with a prefix length. */
struct cnif_ip kernel_node_ip(const char *text, uint8_t prefix);

#endif
