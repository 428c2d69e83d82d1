/* The network on a board: answers images, and says what an answer costs.
 *
 * Built with NETWORK naming the exported file.  Prints for each image what the file's own main
 * prints, and at the end a line `cost COUNT STACK`: the most that an answer took, in instructions
 * (AVR: in cycles) and in bytes of stack below the call. */
#include NETWORK

#include <stdint.h>
#include <stdio.h>

/* Of the board. */
extern uint32_t tick(void);
extern uint32_t ticks_between(uint32_t before, uint32_t after);
extern uint32_t count_of(uint32_t ticks);

#ifdef LENET_SCORE_BITS
typedef uint8_t Value;
typedef int32_t Answer;
#define ANSWER lenet_scores
#define PRINTED "\t%ld"
#define AS_PRINTED (long)
#else
typedef float Value;
typedef float Answer;
#define ANSWER lenet_logits
#define PRINTED "\t%.9g"
#define AS_PRINTED (double)
#define LENET_FLASH
#endif

#define PAINTED 2048
#define PAINT 0xA5u
#define BESIDE 64

extern const LENET_FLASH uint8_t images[], images_end[];

static uint8_t pixels[LENET_PIXELS];
static Value working[LENET_WORKING_BYTES / sizeof(Value) + 1];
static Answer answers[LENET_CLASSES];

/* Paint the stack below, or look how much of the paint is gone. */
__attribute__((noinline)) static unsigned stack_below(int look)
{
    volatile uint8_t *top = (volatile uint8_t *)__builtin_frame_address(0) - BESIDE;
    int index;
    if (!look) {
        for (index = 0; index < PAINTED; index++) {
            top[-index] = PAINT;
        }
        return 0;
    }
    for (index = PAINTED; index > 0 && top[-(index - 1)] == PAINT; index--) {
    }
    return (unsigned)index + BESIDE;
}

__attribute__((noinline)) static uint32_t answer(void)
{
    const uint32_t before = tick();
    ANSWER(pixels, working, answers);
    return ticks_between(before, tick());
}

int main(void)
{
    const LENET_FLASH uint8_t *from = images;
    uint32_t most = 0;
    unsigned stack = 0;
    while (from < images_end) {
        int index, likeliest = 0;
        uint32_t taken;
        unsigned used;
        for (index = 0; index < LENET_PIXELS; index++) {
            pixels[index] = *from++;
        }
        stack_below(0);
        taken = answer();
        used = stack_below(1);
        most = taken > most ? taken : most;
        stack = used > stack ? used : stack;
        for (index = 1; index < LENET_CLASSES; index++) {
            likeliest = answers[index] > answers[likeliest] ? index : likeliest;
        }
        printf("%d", likeliest);
        for (index = 0; index < LENET_CLASSES; index++) {
            printf(PRINTED, AS_PRINTED answers[index]);
        }
        printf("\t%s\n", lenet_class_name(likeliest));
    }
    printf("cost %lu %u\n", (unsigned long)count_of(most), stack);
    return 0;
}
