/* The pixels of the file IMAGES, among the constants. */
#ifdef __AVR__
    .section .progmemx.data, "a"
#else
    .section .rodata
#endif
    .global images
    .global images_end
images:
    .incbin IMAGES
images_end:
