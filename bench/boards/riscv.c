/* The clock of a RISC-V under emulation. */
#include <stdint.h>

uint32_t tick(void)
{
    uint32_t count;
    __asm volatile(".option push\n .option arch, +zicsr\n csrr %0, mcycle\n .option pop"
                   : "=r"(count));
    return count;
}

uint32_t ticks_between(uint32_t before, uint32_t after)
{
    return after - before;
}

/* Exactly 2 * `rounds` instructions, and a few around them. */
static void spin(uint32_t rounds)
{
    __asm volatile("1: addi %0, %0, -1\n bnez %0, 1b" : "+r"(rounds));
}

/* The emulator's clock is in units of its own, so it is asked how many instructions are in one. */
uint32_t count_of(uint32_t ticks)
{
    const uint32_t rounds = 1000000, before = tick();
    spin(rounds);
    return (uint32_t)((double)ticks * 2 * rounds / ticks_between(before, tick()) + 0.5);
}
