/* The clock of an AVR (its cycles), and its serial line as the place for what is printed. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdint.h>
#include <stdio.h>

static volatile uint16_t overflows;

ISR(TIMER1_OVF_vect)
{
    overflows++;
}

uint32_t tick(void)
{
    uint16_t high, low;
    cli();
    low = TCNT1;
    high = overflows;
    if ((TIFR1 & (1 << TOV1)) && low < 0x8000) {
        high++;
    }
    sei();
    return (uint32_t)high << 16 | low;
}

uint32_t ticks_between(uint32_t before, uint32_t after)
{
    return after - before;
}

uint32_t count_of(uint32_t ticks)
{
    return ticks;
}

static int put(char letter, FILE *stream)
{
    (void)stream;
    while (!(UCSR0A & (1 << UDRE0))) {
    }
    UDR0 = (uint8_t)letter;
    return 0;
}

static FILE serial = FDEV_SETUP_STREAM(put, NULL, _FDEV_SETUP_WRITE);

/* Before main. */
__attribute__((constructor)) static void begin(void)
{
    UBRR0 = 0;
    UCSR0B = 1 << TXEN0;
    stdout = &serial;
    TIMSK1 = 1 << TOIE1;
    TCCR1B = 1;
    sei();
}

/* After main: the simulator ends where nothing can wake the processor. */
__attribute__((destructor)) static void end(void)
{
    cli();
    sleep_enable();
    sleep_cpu();
}
