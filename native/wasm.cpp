// The only file that knows WebAssembly: what a page may call, with numbers and places in memory.
//
// The page checks what it hands over (src/lenet/show/page/modules/kernels.js): here is no interpreter
// to protect, and a fault ends in the sandbox of the page.

#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>
#include <typeinfo>

#include "engine.hpp"
#include "picture.hpp"
#include "random.hpp"

using lenet::Engine;
using lenet::Images;
using lenet::Plane;
using lenet::Reading;

#define LENET_CALLED_BY_PAGE(name) extern "C" [[clang::export_name(#name)]]

// What the page is told when something is refused; it throws, and never returns.
extern "C" [[noreturn, clang::import_module("lenet"), clang::import_name("refuse")]] void
refuse(const char* reason);

// In place of exceptions, which this is compiled without: all that are thrown say what is wrong.
extern "C" void* __cxa_allocate_exception(std::size_t size) { return std::malloc(size); }
extern "C" void __cxa_free_exception(void* thrown) { std::free(thrown); }
extern "C" [[noreturn]] void __cxa_throw(void* thrown, std::type_info*, void (*)(void*)) {
    refuse(static_cast<std::exception*>(thrown)->what());
}

// What a thread leaves behind at its end: the one that there is has none.
extern "C" int __cxa_thread_atexit(void (*)(void*), void*, void*) { return 0; }

// ---- memory -------------------------------------------------------------------------------------

LENET_CALLED_BY_PAGE(allocate) void* allocate(std::size_t bytes) { return std::malloc(bytes); }
LENET_CALLED_BY_PAGE(release) void release(void* place) { std::free(place); }

// ---- networks -----------------------------------------------------------------------------------

template <std::size_t count> const char* name_of(const char* const (&names)[count], std::size_t k) {
    return k < count ? names[k] : nullptr;
}
LENET_CALLED_BY_PAGE(kind_name) const char* kind_name(std::size_t k) {
    return name_of(lenet::kind_names, k);
}
LENET_CALLED_BY_PAGE(activation_name) const char* activation_name(std::size_t k) {
    return name_of(lenet::activation_names, k);
}

struct Row {
    lenet::Kind kind;
    lenet::Activation activation;
    int size, padding, outputs;
};

struct Choice { // of an optimizer
    double adamw, momentum, nesterov, weight_decay, beta1, beta2, epsilon, label_smoothing, clip_norm;
};

// `parameters` and `mask` have as many floats as the network has parameters; `mask` may be null.
LENET_CALLED_BY_PAGE(open_engine)
Engine* open_engine(int channels, int rows, int columns, float scale, float shift, const Row* table,
                    std::size_t count, const float* parameters, const float* mask, const Choice* choice) {
    std::vector<lenet::LayerRow> layers;
    for (std::size_t k = 0; k < count; ++k)
        layers.push_back({.name = "of the page",
                          .kind = table[k].kind,
                          .activation = table[k].activation,
                          .size = table[k].size,
                          .padding = table[k].padding,
                          .outputs = table[k].outputs});
    const lenet::Network network = lenet::build_network(channels, rows, columns, layers, scale, shift);
    const lenet::Optimizer optimizer{.adamw = choice->adamw != 0.0,
                                     .momentum = static_cast<float>(choice->momentum),
                                     .nesterov = choice->nesterov != 0.0,
                                     .weight_decay = static_cast<float>(choice->weight_decay),
                                     .beta1 = choice->beta1,
                                     .beta2 = choice->beta2,
                                     .epsilon = static_cast<float>(choice->epsilon),
                                     .loss = {.smoothing = static_cast<float>(choice->label_smoothing)},
                                     .averaging = 0.0,
                                     .clip_norm = choice->clip_norm};
    std::vector<float> kept;
    if (mask != nullptr) kept.assign(mask, mask + network.parameters);
    return new Engine(network, *lenet::find_backend("baseline"), optimizer,
                      {parameters, parameters + network.parameters}, std::move(kept), 1);
}
LENET_CALLED_BY_PAGE(close_engine) void close_engine(Engine* engine) { delete engine; }

LENET_CALLED_BY_PAGE(infer)
void infer(Engine* engine, const std::uint8_t* pixels, std::size_t count, float* logits) {
    engine->infer({.pixels = pixels}, count, logits);
}

// Activations of every layer, one layer after the other, each (n, channels, rows, columns).
LENET_CALLED_BY_PAGE(watch)
void watch(Engine* engine, const std::uint8_t* pixels, std::size_t count, float* outputs) {
    const lenet::Network& network = engine->network();
    float* places[lenet::maximum_layers];
    for (int k = 0; k < network.count; ++k) {
        places[k] = outputs;
        outputs += count * static_cast<std::size_t>(network.layers[k].output.size());
    }
    engine->watch({.pixels = pixels}, count, places);
}

constexpr std::int64_t any_epoch = 1; // images are the same in each: none is changed

// One update; `totals` gets the mean loss before it, and the misses.
LENET_CALLED_BY_PAGE(step)
void step(Engine* engine, const std::uint8_t* pixels, const std::int64_t* labels,
          const std::int64_t* indices, std::size_t count, double learning_rate, double* totals) {
    const lenet::Totals found = engine->step({.pixels = pixels, .labels = labels, .indices = indices},
                                             count, learning_rate, any_epoch);
    totals[0] = found.loss;
    totals[1] = static_cast<double>(found.misses);
}

// The parameters and the optimizer's two slots into places with room for them; null is left out.
LENET_CALLED_BY_PAGE(state)
double state(Engine* engine, float* parameters, float* first, float* second) {
    const Engine::State found = engine->state();
    const auto write = [](const std::vector<float>& values, float* to) {
        if (to != nullptr) std::copy(values.begin(), values.end(), to);
    };
    write(found.parameters, parameters);
    write(found.first, first);
    write(found.second, second);
    return static_cast<double>(found.updates);
}

// Other parameters; what the optimizer remembers stays.
LENET_CALLED_BY_PAGE(set_parameters)
void set_parameters(Engine* engine, const float* parameters) {
    Engine::State changed = engine->state();
    changed.parameters.assign(parameters, parameters + changed.parameters.size());
    engine->restore(std::move(changed));
}

// ---- random streams and digests -----------------------------------------------------------------

LENET_CALLED_BY_PAGE(permutation)
void permutation(std::size_t count, const char* name, std::size_t length, std::int64_t* to) {
    const std::vector<std::int64_t> order = lenet::permutation(count, {name, length});
    std::copy(order.begin(), order.end(), to);
}

LENET_CALLED_BY_PAGE(uniform)
void uniform(std::size_t count, double bound, const char* name, std::size_t length, float* to) {
    lenet::uniform(count, bound, {name, length}, to);
}

LENET_CALLED_BY_PAGE(sha256)
void sha256(const std::uint8_t* bytes, std::size_t count, std::uint8_t* to) {
    lenet::Hash hash;
    hash.add(bytes, count);
    const lenet::Digest digest = hash.finish();
    std::copy(digest.begin(), digest.end(), to);
}

// ---- pictures -----------------------------------------------------------------------------------

Plane plane_of(const std::uint8_t* pixels, int rows, int columns) {
    Plane plane(rows, columns);
    std::copy(pixels, pixels + plane.size(), plane.values.begin());
    return plane;
}

LENET_CALLED_BY_PAGE(read_characters)
Reading* read_characters(const std::uint8_t* grey, int rows, int columns, int image_rows, int image_columns,
                         int ink_side, int by_mass) {
    const lenet::Wish wish{image_rows, image_columns, ink_side, by_mass != 0};
    return new Reading(lenet::read_characters(plane_of(grey, rows, columns), wish));
}
LENET_CALLED_BY_PAGE(close_reading) void close_reading(Reading* reading) { delete reading; }

// dark, rules, characters, and the box of the most prominent one: top, left, bottom, right.
LENET_CALLED_BY_PAGE(describe_reading)
void describe_reading(const Reading* reading, int* facts) {
    facts[0] = reading->dark;
    facts[1] = reading->rules;
    facts[2] = static_cast<int>(reading->characters.size());
    if (reading->characters.empty()) return;
    const lenet::Box& box = reading->characters[0].box;
    facts[3] = box.top, facts[4] = box.left, facts[5] = box.bottom, facts[6] = box.right;
}

// ground, ink, kept; then of the most prominent character: cropped, fitted, image.
LENET_CALLED_BY_PAGE(plane_of_reading)
const Plane* plane_of_reading(const Reading* reading, int number) {
    const lenet::Character* first = reading->characters.empty() ? nullptr : &reading->characters[0];
    switch (number) {
    case 0:
        return &reading->ground;
    case 1:
        return &reading->ink;
    case 2:
        return &reading->kept;
    case 3:
        return first ? &first->cropped : nullptr;
    case 4:
        return first ? &first->fitted : nullptr;
    default:
        return first ? &first->image : nullptr;
    }
}

LENET_CALLED_BY_PAGE(grey)
Plane* grey(const std::uint8_t* colours, int rows, int columns) {
    return new Plane(lenet::grey_of(colours, rows, columns));
}
LENET_CALLED_BY_PAGE(resize)
Plane* resize(const std::uint8_t* pixels, int rows, int columns, int new_rows, int new_columns) {
    return new Plane(lenet::resized(plane_of(pixels, rows, columns), new_rows, new_columns));
}
LENET_CALLED_BY_PAGE(close_plane) void close_plane(Plane* plane) { delete plane; }
LENET_CALLED_BY_PAGE(plane_rows) int plane_rows(const Plane* plane) { return plane->rows; }
LENET_CALLED_BY_PAGE(plane_columns) int plane_columns(const Plane* plane) { return plane->columns; }
LENET_CALLED_BY_PAGE(plane_values)
const std::uint8_t* plane_values(const Plane* plane) { return plane->values.data(); }
