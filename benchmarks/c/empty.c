/* The least a program can do: what starting a process costs by itself. */
int main(void)
{
    return 0;
}
