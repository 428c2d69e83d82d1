/* The counter of instructions of a RISC-V. */
#include <stdint.h>

uint32_t tick(void)
{
    uint32_t count;
    __asm volatile(".option push\n .option arch, +zicsr\n csrr %0, minstret\n .option pop" : "=r"(count));
    return count;
}

uint32_t ticks_between(uint32_t before, uint32_t after)
{
    return after - before;
}

uint32_t count_of(uint32_t ticks)
{
    return ticks;
}
