/*
 * Rules of policy routing: request builders and the decoder.
 */
#ifndef CNIF_RTNL_RULE_H
#define CNIF_RTNL_RULE_H

#include "cnifast_routing.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

/* A rule that leads packets from rule->src to rule->table; or one that was kept, where it was. */
void cnif_rule_put_add(struct cnif_nlbuf *buf, const struct cnif_rule *rule);
void cnif_rule_put_delete(struct cnif_nlbuf *buf, const struct cnif_rule *rule);
/* Decode RTM_NEWRULE; false if it is something else, or not a rule for IP packets. */
bool cnif_rule_parse(const struct nlmsghdr *nlh, struct cnif_rule *ret);

#endif
