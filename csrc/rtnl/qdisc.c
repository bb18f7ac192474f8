/*
 * The wire form of a queueing discipline:
 *
 *   | nlmsghdr | tcmsg: device, parent, handle | TCA_KIND | TCA_OPTIONS [ struct, 64-bit rates ] |
 *
 * The structs have room for 32 bits of a rate; one that needs more is said
 * again in an attribute of its own, and the struct says the most it can.
 */
#include "rtnl/qdisc.h"

#include "netlink/nlparse.h"

#include <linux/rtnetlink.h>
#include <string.h>

/* Bytes that a class may send before another of the same level; without it the kernel warns. */
#define QUANTUM (64U * 1024U)

static void begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, int32_t index,
                  uint32_t parent, uint32_t handle, const char *step)
{
    struct tcmsg *tcm = cnif_nlmsg_begin(buf, type, flags | NLM_F_ACK, sizeof(*tcm), step);

    tcm->tcm_ifindex = index;
    tcm->tcm_parent = parent;
    tcm->tcm_handle = handle;
}

static void begin_new(struct cnif_nlbuf *buf, uint16_t type, int32_t index, uint32_t parent,
                      uint32_t handle, const char *kind, const char *step)
{
    begin(buf, type, NLM_F_CREATE | NLM_F_EXCL, index, parent, handle, step);
    cnif_nlattr_put_str(buf, TCA_KIND, kind);
}

static struct tc_ratespec ratespec(uint64_t rate)
{
    return (struct tc_ratespec){.linklayer = TC_LINKLAYER_ETHERNET,
                                .rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate};
}

static void put_wide(struct cnif_nlbuf *buf, uint16_t type, uint64_t rate)
{
    if (rate > UINT32_MAX)
        cnif_nlattr_put_u64(buf, type, rate);
}

void cnif_qdisc_put_tbf(struct cnif_nlbuf *buf, int32_t index, const struct cnif_bucket *bucket,
                        const char *step)
{
    struct tc_tbf_qopt options = {
        .rate = ratespec(bucket->rate), .limit = bucket->limit, .buffer = bucket->burst};
    size_t nest;

    begin_new(buf, RTM_NEWQDISC, index, TC_H_ROOT, CNIF_QDISC_ROOT, "tbf", step);
    nest = cnif_nlattr_nest(buf, TCA_OPTIONS);
    cnif_nlattr_put(buf, TCA_TBF_PARMS, &options, sizeof(options));
    put_wide(buf, TCA_TBF_RATE64, bucket->rate);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlmsg_end(buf);
}

void cnif_qdisc_put_htb(struct cnif_nlbuf *buf, int32_t index, uint32_t default_class,
                        const char *step)
{
    struct tc_htb_glob options = {
        .version = TC_HTB_PROTOVER, .rate2quantum = 10, .defcls = default_class};
    size_t nest;

    begin_new(buf, RTM_NEWQDISC, index, TC_H_ROOT, CNIF_QDISC_ROOT, "htb", step);
    nest = cnif_nlattr_nest(buf, TCA_OPTIONS);
    cnif_nlattr_put(buf, TCA_HTB_INIT, &options, sizeof(options));
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlmsg_end(buf);
}

void cnif_qdisc_put_ingress(struct cnif_nlbuf *buf, int32_t index, const char *step)
{
    begin_new(buf, RTM_NEWQDISC, index, TC_H_INGRESS, TC_H_MAKE(TC_H_INGRESS, 0), "ingress", step);
    cnif_nlmsg_end(buf);
}

void cnif_qdisc_put_fifo(struct cnif_nlbuf *buf, int32_t index, const char *kind, uint32_t class,
                         uint32_t limit, const char *step)
{
    struct tc_fifo_qopt options = {.limit = limit};

    begin_new(buf, RTM_NEWQDISC, index, class, 0, kind, step);
    cnif_nlattr_put(buf, TCA_OPTIONS, &options, sizeof(options));
    cnif_nlmsg_end(buf);
}

void cnif_qdisc_put_delete(struct cnif_nlbuf *buf, int32_t index, uint32_t parent, const char *kind)
{
    begin(buf, RTM_DELQDISC, 0, index, parent, 0, "delete queueing discipline of");
    cnif_nlattr_put_str(buf, TCA_KIND, kind);
    cnif_nlmsg_end(buf);
}

void cnif_class_put_htb(struct cnif_nlbuf *buf, int32_t index, uint32_t class,
                        const struct cnif_bucket *bucket, const char *step)
{
    struct tc_htb_opt options = {.rate = ratespec(bucket->rate),
                                 .ceil = ratespec(bucket->rate),
                                 .buffer = bucket->burst,
                                 .cbuffer = bucket->burst,
                                 .quantum = QUANTUM};
    size_t nest;

    begin_new(buf, RTM_NEWTCLASS, index, CNIF_QDISC_ROOT, class, "htb", step);
    nest = cnif_nlattr_nest(buf, TCA_OPTIONS);
    cnif_nlattr_put(buf, TCA_HTB_PARMS, &options, sizeof(options));
    put_wide(buf, TCA_HTB_RATE64, bucket->rate);
    put_wide(buf, TCA_HTB_CEIL64, bucket->rate);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlmsg_end(buf);
}

void cnif_qdisc_put_get(struct cnif_nlbuf *buf, int32_t index, uint32_t parent)
{
    begin(buf, RTM_GETQDISC, NLM_F_ECHO, index, parent, 0, "get queueing discipline of");
    cnif_nlmsg_end(buf);
}

void cnif_class_put_get(struct cnif_nlbuf *buf, int32_t index, uint32_t class)
{
    begin(buf, RTM_GETTCLASS, NLM_F_ECHO, index, 0, class, "get class of");
    cnif_nlmsg_end(buf);
}

static void parse_tbf(const struct nlattr *options, struct cnif_bucket *bucket)
{
    const struct nlattr *attrs[TCA_TBF_RATE64 + 1];
    struct tc_tbf_qopt found = {0};

    cnif_nlattr_parse_nested(options, attrs, TCA_TBF_RATE64);
    (void)cnif_nlattr_copy(attrs[TCA_TBF_PARMS], &found, sizeof(found));
    bucket->rate = cnif_nlattr_u64(attrs[TCA_TBF_RATE64], found.rate.rate);
    bucket->burst = found.buffer;
    bucket->limit = found.limit;
}

static uint32_t parse_htb(const struct nlattr *options)
{
    const struct nlattr *attrs[TCA_HTB_INIT + 1];
    struct tc_htb_glob found = {0};

    cnif_nlattr_parse_nested(options, attrs, TCA_HTB_INIT);
    (void)cnif_nlattr_copy(attrs[TCA_HTB_INIT], &found, sizeof(found));
    return found.defcls;
}

const struct tcmsg *cnif_tcmsg_parse(const struct nlmsghdr *nlh, uint16_t type,
                                     const struct nlattr **ret_options, char *ret_kind)
{
    const struct nlattr *attrs[TCA_OPTIONS + 1];
    const struct tcmsg *tcm;

    if (nlh->nlmsg_type != type)
        return NULL;
    tcm = cnif_nlmsg_header(nlh, sizeof(*tcm));
    if (!tcm)
        return NULL;
    cnif_nlattr_parse(nlh, sizeof(*tcm), attrs, TCA_OPTIONS);
    (void)cnif_nlattr_str(attrs[TCA_KIND], ret_kind, CNIF_IFNAME_MAX);
    *ret_options = attrs[TCA_OPTIONS];
    return tcm;
}

bool cnif_qdisc_parse(const struct nlmsghdr *nlh, struct cnif_qdisc *ret)
{
    struct cnif_qdisc found = {0};
    const struct nlattr *options;
    const struct tcmsg *tcm = cnif_tcmsg_parse(nlh, RTM_NEWQDISC, &options, found.kind);

    if (!tcm)
        return false;
    found.index = tcm->tcm_ifindex;
    found.handle = tcm->tcm_handle;
    found.parent = tcm->tcm_parent;
    if (strcmp(found.kind, "tbf") == 0)
        parse_tbf(options, &found.bucket);
    if (strcmp(found.kind, "htb") == 0)
        found.default_class = parse_htb(options);
    *ret = found;
    return true;
}

bool cnif_class_parse(const struct nlmsghdr *nlh, struct cnif_class *ret)
{
    const struct nlattr *options, *attrs[TCA_HTB_RATE64 + 1];
    struct cnif_class found = {0};
    const struct tcmsg *tcm = cnif_tcmsg_parse(nlh, RTM_NEWTCLASS, &options, found.kind);
    struct tc_htb_opt htb = {0};

    if (!tcm)
        return false;
    found.index = tcm->tcm_ifindex;
    found.handle = tcm->tcm_handle;
    if (strcmp(found.kind, "htb") == 0) {
        cnif_nlattr_parse_nested(options, attrs, TCA_HTB_RATE64);
        (void)cnif_nlattr_copy(attrs[TCA_HTB_PARMS], &htb, sizeof(htb));
        found.bucket.rate = cnif_nlattr_u64(attrs[TCA_HTB_RATE64], htb.rate.rate);
        found.bucket.burst = htb.buffer;
    }
    *ret = found;
    return true;
}
