#include "ipam/addr.h"

#include "check.h"

#include <string.h>

/* Canonical text goes there and back. */
static void test_round_trip(void)
{
    static const char *const texts[] = {
        "0.0.0.0",
        "10.1.0.5",
        "255.255.255.255",
        "::",
        "::1",
        "1::",
        "fd00::2",
        "2001:db8::1:0:0:1",
        "2001:db8:0:1:1:1:1:1",
        "::102:304",
        "1:2:3:4:5:6:7:8",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "1:0:0:2::",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct cnif_num num, again;
        struct cnif_ipam_addr addr;

        CHECK(cnif_num_parse(texts[i], &num));
        cnif_num_to(&num, &addr);
        CHECK(strcmp(addr.text, texts[i]) == 0);
        again = cnif_num_from(&addr);
        CHECK(cnif_num_equal(&num, &again));
    }
}

/* Every other spelling, and everything else a directory can hold, is no address. */
static void test_other_names(void)
{
    static const char *const texts[] = {
        "",
        "lock",
        "last_reserved_ip.0",
        "10.1.0",
        "010.1.0.5",
        "10.1.0.5 ",
        "10.1.0.256",
        "::ffff:10.1.0.5",
        "::ffff:a01:5",
        "FD00::2",
        "fd00::02",
        "fd00:0:0::2",
        "1:2:3:4:5:6:7::",
        "::1.2.3.4",
        "fe80::1%eth0",
        "10.1.0.5/16",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct cnif_num num;

        CHECK(!cnif_num_parse(texts[i], &num));
    }
}

int main(void)
{
    test_round_trip();
    test_other_names();
    return check_failures != 0;
}
