/* What a Cortex-M needs before main: a vector table, the floating-point unit, streams of the
 * debugger (semihosting).  The loader has put constants and initial values in their places. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t top_of_stack;
extern void initialise_monitor_handles(void);
extern int main(void);

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_NOW (*(volatile uint32_t *)0xE000E018u)

static void reset(void)
{
#ifdef __ARM_FP
    COPROCESSOR_ACCESS |= 0xFu << 20;
    __asm volatile("dsb\n isb");
#endif
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_NOW = 0;
    SYSTICK_CONTROL = 5;
    initialise_monitor_handles();
    exit(main());
}

static void fault(void)
{
    abort();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &top_of_stack, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};

/* The clock counts down in 24 bits. */
uint32_t ticks_between(uint32_t before, uint32_t after)
{
    return (before - after) & 0xFFFFFFu;
}

uint32_t tick(void)
{
    return SYSTICK_NOW;
}

/* Exactly 2 * `rounds` instructions, and a few around them. */
static void spin(uint32_t rounds)
{
    __asm volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(rounds) : : "cc");
}

/* The boards' clocks are not alike, so it is asked how many instructions are in a tick. */
uint32_t count_of(uint32_t ticks)
{
    const uint32_t rounds = 1000000, before = tick();
    spin(rounds);
    return (uint32_t)((double)ticks * 2 * rounds / ticks_between(before, tick()) + 0.5);
}
