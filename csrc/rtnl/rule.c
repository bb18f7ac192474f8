#include "rtnl/rule.h"

#include "netlink/nlparse.h"
#include "rtnl/addr.h"
#include "rtnl/kept.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

static struct fib_rule_hdr *begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags,
                                  const struct cnif_rule *rule, const char *step)
{
    struct fib_rule_hdr *frh = cnif_nlmsg_begin(buf, type, flags | NLM_F_ACK, sizeof(*frh), step);
    size_t size = cnif_ip_size(rule->src.family);

    frh->family = rule->src.family;
    frh->src_len = rule->src.prefix;
    frh->action = FR_ACT_TO_TBL;
    frh->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC;
    if (rule->src.prefix)
        cnif_nlattr_put(buf, FRA_SRC, rule->src.bytes, size);
    if (rule->priority)
        cnif_nlattr_put_u32(buf, FRA_PRIORITY, rule->priority);
    if (rule->table >= 256)
        cnif_nlattr_put_u32(buf, FRA_TABLE, rule->table);
    return frh;
}

static void put(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, const struct cnif_rule *rule,
                const char *step)
{
    if (rule->kept.size)
        (void)cnif_kept_begin(buf, type, flags, sizeof(struct fib_rule_hdr), &rule->kept, step);
    else
        (void)begin(buf, type, flags, rule, step);
    cnif_nlmsg_about(buf, &rule->src);
    cnif_nlmsg_end(buf);
}

void cnif_rule_put_add(struct cnif_nlbuf *buf, const struct cnif_rule *rule)
{
    put(buf, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule, "add rule to");
}

void cnif_rule_put_delete(struct cnif_nlbuf *buf, const struct cnif_rule *rule)
{
    put(buf, RTM_DELRULE, 0, rule, "delete rule from");
}

bool cnif_rule_parse(const struct nlmsghdr *nlh, struct cnif_rule *ret)
{
    const struct nlattr *attrs[FRA_TABLE + 1];
    const struct fib_rule_hdr *frh;
    struct fib_rule_hdr *kept;
    size_t size;

    if (nlh->nlmsg_type != RTM_NEWRULE)
        return false;
    frh = cnif_nlmsg_header(nlh, sizeof(*frh));
    size = frh ? cnif_ip_size(frh->family) : 0;
    if (!size)
        return false;
    cnif_nlattr_parse(nlh, sizeof(*frh), attrs, FRA_TABLE);
    memset(ret, 0, sizeof(*ret));
    ret->src.family = frh->family;
    ret->src.prefix = frh->src_len;
    (void)cnif_nlattr_copy(attrs[FRA_SRC], ret->src.bytes, size);
    if (frh->action == FR_ACT_TO_TBL)
        ret->table = cnif_nlattr_u32(attrs[FRA_TABLE], frh->table);
    ret->priority = cnif_nlattr_u32(attrs[FRA_PRIORITY], 0);
    cnif_kept_take(nlh, sizeof(*frh), UINT64_MAX, &ret->kept);
    /* What else stands there is what the kernel found out. */
    kept = (struct fib_rule_hdr *)(void *)ret->kept.bytes;
    kept->flags &= FIB_RULE_INVERT;
    return true;
}
