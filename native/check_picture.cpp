// Checks the preparation of pictures: every small size, and strokes on mutated paper.
//
// What comes back has the shapes that were asked for, and is the same twice.

#include <cstdio>
#include <cstdlib>
#include <random>

#include "picture.hpp"

namespace {

using lenet::Plane;
using lenet::Reading;

int failures = 0;

void expect(bool holds, const char* what) {
    if (holds) return;
    std::printf("failed: %s\n", what);
    ++failures;
}

Plane strokes(std::mt19937& dice, int rows, int columns) {
    Plane page(rows, columns, 240);
    for (int stroke = 0; stroke < 3; ++stroke) {
        int r = int(dice() % unsigned(rows)), c = int(dice() % unsigned(columns));
        for (int step = 0; step < rows + columns; ++step) {
            r = std::abs(r + int(dice() % 3) - 1) % rows;
            c = std::abs(c + int(dice() % 3) - 1) % columns;
            page.at(r, c) = 20;
        }
    }
    if (dice() % 2)
        for (int r = int(dice() % 20); r < rows; r += 20)
            for (int c = 0; c < columns; ++c) page.at(r, c) = 150;
    return page;
}

void mutate(std::mt19937& dice, Plane& page) {
    for (unsigned change = unsigned(dice() % 40); change > 0; --change)
        page.values[dice() % page.size()] = std::uint8_t(dice());
}

void check(const Plane& page, std::mt19937& dice) {
    const int rows = 1 + int(dice() % 32), columns = 1 + int(dice() % 32);
    const lenet::Wish wish{rows, columns, 1 + int(dice() % 32), dice() % 2 == 0};
    const Reading reading = read_characters(page, wish);
    expect(reading.characters.size() <= lenet::most_characters, "not too many characters");
    if (!reading.characters.empty()) {
        expect(reading.kept.size() == page.size(), "what was kept has the picture's size");
        expect(reading.ink.size() == page.size() && reading.ground.size() == page.size(),
               "so have ink and ground");
    }
    for (const auto& character : reading.characters) {
        expect(character.image.rows == rows && character.image.columns == columns, "the image's shape");
        expect(character.box.bottom <= page.rows && character.box.right <= page.columns,
               "a box in the picture");
        expect(character.box.height() > 0 && character.box.width() > 0, "a box with something in it");
    }
    const Reading again = read_characters(page, wish);
    expect(again.kept.values == reading.kept.values, "twice the same");
}

} // namespace

int main() {
    std::mt19937 dice(1998);
    for (int rows = 1; rows <= 12; ++rows)
        for (int columns = 1; columns <= 12; ++columns) {
            Plane page(rows, columns);
            for (auto& value : page.values) value = std::uint8_t(dice());
            check(page, dice);
            check(Plane(rows, columns, 7), dice);
        }
    for (int turn = 0; turn < 150; ++turn) {
        Plane page = strokes(dice, 10 + int(dice() % 140), 10 + int(dice() % 140));
        mutate(dice, page);
        check(page, dice);
        check(lenet::turned(page), dice);
    }
    std::printf("pictures: %s\n", failures ? "failed" : "passed");
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
