/*
 * The store with a hostile file in its way: an index whose seals and stamp are
 * right and whose content is not, an index of arbitrary bytes, an address file
 * or a last_reserved_ip file of arbitrary bytes.
 *
 * Nothing may crash, and no live address file may be lost or given twice.  The
 * first byte of the input says which file it is.
 */
#include "ipam_fixture.h"

#include "ipam/blocks.h"

#define OWNERS 6

static struct cnif_block image[64];
static size_t image_size;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "not true: %s\n", what);
    abort();
}

#define REQUIRE(condition) require(condition, #condition)

static const struct cnif_ipam_range *the_range(void)
{
    static struct cnif_ipam_range one;

    one = range(0, "10.1.0.2", "10.1.0.250", "10.1.0.1");
    return &one;
}

static void owner_name(char *id, size_t size, int i)
{
    (void)snprintf(id, size, "owner%d", i);
}

static void clean_up(void)
{
    finish();
}

static void prepare(void)
{
    start();
    (void)atexit(clean_up);
    for (int i = 0; i < OWNERS; i++) {
        char id[16];

        owner_name(id, sizeof(id), i);
        REQUIRE(*take(id, the_range()) != '\0');
    }
    image_size = read_file(index_path, image, sizeof(image));
    REQUIRE(image_size > 0 && image_size < sizeof(image));
}

/* Three bytes of input change one byte of the index; then it is sealed and stamped. */
static void plant_index(const uint8_t *data, size_t size)
{
    static struct cnif_block changed[64];
    uint8_t *bytes = (uint8_t *)changed;

    memcpy(changed, image, image_size);
    for (; size >= 3; data += 3, size -= 3)
        bytes[((size_t)data[0] << 8 | data[1]) % image_size] = data[2];
    for (uint32_t no = 0; no < image_size / CNIF_BLOCK_SIZE; no++)
        cnif_block_seal(&changed[no], no);
    write_file(index_path, changed, image_size);
    forge_stamp();
}

static void plant(uint8_t which, const uint8_t *data, size_t size)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", net_dir,
                   which % 4 == 2 ? "10.1.0.99" : "last_reserved_ip.0");
    if (which % 4 == 0)
        plant_index(data, size);
    else
        write_file(which % 4 == 1 ? index_path : path, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cnif_ipam_owner valid[OWNERS];
    struct cnif_ipam_list list = {.n = 0};
    struct cnif_ipam_usage usage;
    char ids[OWNERS][16], taken[CNIF_IPAM_TEXT_MAX];
    int before;

    if (!data_dir[0])
        prepare();
    if (!size)
        return 0;
    plant(data[0], data + 1, size - 1);
    before = count_addresses();
    (void)lookup("owner3");
    (void)snprintf(taken, sizeof(taken), "%s", take("guest", the_range()));
    REQUIRE(cnif_ipam_usage(&dir, the_range(), 1, 1, &usage, &err) == 0);
    if (*taken)
        REQUIRE(strcmp(lookup("guest"), taken) == 0);
    REQUIRE(before < 0 || count_addresses() <= before + 1);
    for (int i = 0; i < OWNERS; i++) {
        owner_name(ids[i], sizeof(ids[i]), i);
        valid[i] = (struct cnif_ipam_owner){ids[i], "eth0"};
    }
    REQUIRE(cnif_ipam_gc(&dir, valid, OWNERS, &list, &err) == 0);
    cnif_ipam_list_free(&list);
    (void)unlink(index_path); /* a sealed lie is believed; the files have to be all there */
    for (int i = 0; i < OWNERS; i++)
        REQUIRE(*lookup(ids[i]) != '\0');
    REQUIRE(count_addresses() == OWNERS);
    return 0;
}
