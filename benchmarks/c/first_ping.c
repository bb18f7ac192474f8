/*
 * first_ping NETNS ADDRESS: from inside a network namespace, send one ICMP echo
 * request and wait a second for the answer.  No second try: a pod whose first
 * packet is lost is not ready.  Prints the round trip in nanoseconds; exit 0
 * means answered.  No part of any measurement.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_NS INT64_C(1000000000)

static int64_t now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint16_t checksum(const uint16_t *words, size_t count)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += words[i];
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return (uint16_t)~sum;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.sequence = htons(1)};
    struct timeval patience = {.tv_usec = 100000};
    char packet[1500];
    int fd, netns;

    if (argc != 3 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
        return fprintf(stderr, "usage: first_ping NETNS ADDRESS\n"), 2;
    netns = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
        return perror(argv[1]), 2;
    fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return perror("socket"), 2;
    echo.un.echo.id = htons((uint16_t)getpid());
    echo.checksum = checksum((const uint16_t *)&echo, sizeof(echo) / 2);

    int64_t start = now();
    if (sendto(fd, &echo, sizeof(echo), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
        return perror("sendto"), 1;
    while (now() - start < LIMIT_NS) {
        ssize_t n = recv(fd, packet, sizeof(packet), 0);
        const struct iphdr *ip = (const struct iphdr *)packet;
        struct icmphdr reply;

        if (n < (ssize_t)sizeof(*ip) || n < (ssize_t)(ip->ihl * 4U + sizeof(reply)))
            continue;
        memcpy(&reply, packet + ip->ihl * 4U, sizeof(reply));
        if (reply.type == ICMP_ECHOREPLY && reply.un.echo.id == echo.un.echo.id &&
            ip->saddr == to.sin_addr.s_addr)
            return printf("%lld\n", (long long)(now() - start)), 0;
    }
    return fprintf(stderr, "no answer from %s\n", argv[2]), 1;
}
