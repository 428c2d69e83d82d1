// The engine, for Python.
//
// Everything that comes in is checked here, so that no argument can make a kernel read or write
// outside its buffers.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <tuple>

#include "engine.hpp"
#include "reference.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using lenet::Engine;
using lenet::Images;
using lenet::Kind;
using lenet::Maps;
using lenet::Network;

using Pixels = nb::ndarray<const std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Whole = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::device::cpu>; // of any stride
using Floats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Name, operation, activation, size, padding, outputs, scale: one row a layer.
using Row = std::tuple<std::string, std::string, std::string, int, int, int, float>;

// The loss by its name, the smoothing of labels, and what a rubbish class costs.
using LossRow = std::tuple<std::string, float, float>;

// Python goes on meanwhile.  When the interpreter ends, it ends a thread that wants its lock back, and
// that would unwind through functions that must not throw: such a thread waits here for the process
// to end.
class Unlocked {
public:
    Unlocked() : thread_(PyEval_SaveThread()) {}
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;
    ~Unlocked() {
        try {
            PyEval_RestoreThread(thread_);
        } catch (...) {
            while (true) std::this_thread::sleep_for(std::chrono::hours(1));
        }
    }

private:
    PyThreadState* thread_;
};

template <typename T>
nb::ndarray<nb::numpy, T> to_numpy(std::vector<T> values, std::vector<std::size_t> shape) {
    auto* kept = new std::vector<T>(std::move(values));
    const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T>(kept->data(), shape.size(), shape.data(), owner);
}

void require(bool fits, const char* message) {
    if (!fits) throw std::invalid_argument(message);
}

// A copy, which nobody changes between its check and its use; `given` may lie at any address.
std::vector<std::int64_t> copy(const Whole& given) {
    std::vector<std::int64_t> values(given.shape(0));
    for (std::size_t k = 0; k < values.size(); ++k)
        std::memcpy(&values[k], given.data() + static_cast<std::int64_t>(k) * given.stride(0),
                    sizeof values[k]);
    return values;
}

// The number of a layer's operation or activation.
template <typename Enum, std::size_t count>
Enum number_of(const std::string& name, const char* const (&names)[count], const std::string& layer) {
    for (std::size_t k = 0; k < count; ++k)
        if (name == names[k]) return static_cast<Enum>(k);
    throw std::invalid_argument("layer " + layer + ": it has no kernel for " + name);
}

Network build_network(int channels, int rows, int columns, float scale, float shift,
                      const std::vector<Row>& table) {
    std::vector<lenet::LayerRow> layers;
    for (const auto& [name, operation, activation, size, padding, outputs, squares] : table)
        layers.push_back(
            {.name = name.c_str(),
             .kind = number_of<Kind>(operation, lenet::kind_names, name),
             .activation = number_of<lenet::Activation>(activation, lenet::activation_names, name),
             .size = size,
             .padding = padding,
             .outputs = outputs,
             .scale = squares});
    return lenet::build_network(channels, rows, columns, layers, scale, shift);
}

lenet::Loss loss_of(const LossRow& row) {
    const auto& [name, smoothing, rubbish] = row;
    for (std::size_t k = 0; k < std::size(lenet::loss_names); ++k)
        if (name == lenet::loss_names[k])
            return {.kind = static_cast<lenet::LossKind>(k), .smoothing = smoothing, .rubbish = rubbish};
    throw std::invalid_argument("it has no loss " + name);
}

// Images, and targets or none, that stay where they are; the labels are checked once and kept.
struct Split {
    Split(Pixels images, const Whole& given, int labelled, Rows probabilities)
        : pixels(std::move(images)), classes(labelled), targets(std::move(probabilities)) {
        require(targets.shape(0) == 0 || (targets.shape(0) == pixels.shape(0) &&
                                          targets.shape(1) == static_cast<std::size_t>(classes)),
                "there must be a target for each image, a probability for each class");
        require(given.shape(0) == 0 || given.shape(0) == pixels.shape(0),
                "there must be a label for each image");
        labels = copy(given);
        for (const std::int64_t label : labels)
            require(label >= 0 && label < classes, "a label is not one of the classes");
    }

    Images view(const std::vector<std::int64_t>* indices = nullptr) const {
        return Images{pixels.data(), labels.data(), indices ? indices->data() : nullptr,
                      targets.shape(0) ? targets.data() : nullptr};
    }
    std::size_t size() const { return pixels.shape(0); }

    Pixels pixels;
    int classes;
    Rows targets;
    std::vector<std::int64_t> labels;
};

void require_fit(const Network& network, const Split& split) {
    const Maps& maps = network.pixels();
    const auto is = [&](std::size_t axis, int value) {
        return split.pixels.shape(axis) == static_cast<std::size_t>(value);
    };
    require(is(1, maps.channels) && is(2, maps.rows) && is(3, maps.columns),
            "the images do not have the network's size");
    require(split.classes == network.classes(), "the images were placed for other classes");
}

std::vector<std::int64_t> chosen(const Engine& engine, const Split& split, const Whole& given) {
    require_fit(engine.network(), split);
    require(given.shape(0) > 0, "a step needs at least one image");
    require(!split.labels.empty(), "these images were placed without labels");
    std::vector<std::int64_t> indices = copy(given);
    for (const std::int64_t index : indices)
        require(index >= 0 && index < static_cast<std::int64_t>(split.labels.size()),
                "an index is not one of the images");
    return indices;
}

std::pair<double, std::int64_t> step(Engine& engine, const Split& split, const Whole& given,
                                     double learning_rate, std::int64_t epoch) {
    const std::vector<std::int64_t> indices = chosen(engine, split, given);
    const Unlocked unlocked;
    const lenet::Totals totals = engine.step(split.view(&indices), indices.size(), learning_rate, epoch);
    return {totals.loss, totals.misses};
}

nb::ndarray<nb::numpy, std::uint8_t> seen(Engine& engine, const Split& split, const Whole& given,
                                          std::int64_t epoch) {
    const std::vector<std::int64_t> indices = chosen(engine, split, given);
    const Maps& maps = engine.network().pixels();
    std::vector<std::uint8_t> pixels(indices.size() * static_cast<std::size_t>(maps.size()));
    {
        const Unlocked unlocked;
        engine.see(split.view(&indices), indices.size(), epoch, pixels.data());
    }
    return to_numpy(std::move(pixels),
                    {indices.size(), split.pixels.shape(1), split.pixels.shape(2), split.pixels.shape(3)});
}

nb::tuple gradient(Engine& engine, const Split& split, const Whole& given) {
    const std::vector<std::int64_t> indices = chosen(engine, split, given);
    std::vector<float> result;
    lenet::Totals totals;
    {
        const Unlocked unlocked;
        totals = engine.gradient(split.view(&indices), indices.size(), result);
    }
    const std::size_t count = result.size();
    return nb::make_tuple(totals.loss, totals.misses, to_numpy(std::move(result), {count}));
}

nb::ndarray<nb::numpy, float> curvature(Engine& engine, const Split& split, const Whole& given) {
    const std::vector<std::int64_t> indices = chosen(engine, split, given);
    std::vector<float> result;
    {
        const Unlocked unlocked;
        result = engine.curvature(split.view(&indices), indices.size());
    }
    const std::size_t count = result.size();
    return to_numpy(std::move(result), {count});
}

nb::ndarray<nb::numpy, float> logits(Engine& engine, const Split& split) {
    require_fit(engine.network(), split);
    const auto classes = static_cast<std::size_t>(engine.network().classes());
    std::vector<float> result(split.size() * classes);
    {
        const Unlocked unlocked;
        engine.infer(split.view(), split.size(), result.data());
    }
    return to_numpy(std::move(result), {split.size(), classes});
}

nb::list activations(Engine& engine, const Split& split) {
    require_fit(engine.network(), split);
    const Network& network = engine.network();
    std::vector<std::vector<float>> results;
    std::vector<float*> places;
    for (int k = 0; k < network.count; ++k)
        results.emplace_back(split.size() * static_cast<std::size_t>(network.layers[k].output.size()));
    for (std::vector<float>& result : results) places.push_back(result.data());
    {
        const Unlocked unlocked;
        engine.watch(split.view(), split.size(), places.data());
    }
    nb::list list;
    for (int k = 0; k < network.count; ++k) {
        const Maps& maps = network.layers[k].output;
        list.append(
            to_numpy(std::move(results[static_cast<std::size_t>(k)]),
                     {split.size(), static_cast<std::size_t>(maps.channels),
                      static_cast<std::size_t>(maps.rows), static_cast<std::size_t>(maps.columns)}));
    }
    return list;
}

nb::ndarray<nb::numpy, float> copy(std::vector<float> values) {
    const std::size_t count = values.size();
    return to_numpy(std::move(values), {count});
}

nb::tuple state(Engine& engine) {
    Engine::State state;
    {
        const Unlocked unlocked;
        state = engine.state();
    }
    return nb::make_tuple(copy(std::move(state.parameters)), copy(std::move(state.first)),
                          copy(std::move(state.second)), copy(std::move(state.average)), state.updates);
}

void restore(Engine& engine, const Floats& parameters, const Floats& first, const Floats& second,
             const Floats& average, std::int64_t updates) {
    const auto values = [](const Floats& from) {
        return std::vector<float>(from.data(), from.data() + from.shape(0));
    };
    Engine::State state{values(parameters), values(first), values(second), values(average), updates};
    const Unlocked unlocked;
    engine.restore(std::move(state));
}

// The plain kernels in float64 over some images: (loss, gradient), both means, and the logits.
nb::tuple reference(const Network& network, const Doubles& parameters, const Split& split,
                    const LossRow& loss_row) {
    const lenet::Loss chosen_loss = loss_of(loss_row);
    require(parameters.shape(0) == network.parameters, "wrong number of parameters");
    require_fit(network, split);
    require(split.labels.size() == split.size() && split.size() > 0, "labels are missing");
    std::vector<double> total(network.parameters), all_logits;
    std::vector<std::vector<double>> outputs;
    double loss = 0.0;
    const auto size = static_cast<std::size_t>(network.pixels().size());
    for (std::size_t n = 0; n < split.size(); ++n) {
        loss += lenet::reference::run_image(network, parameters.data(), split.pixels.data() + n * size,
                                            static_cast<int>(split.labels[n]), chosen_loss, total.data(),
                                            outputs);
        all_logits.insert(all_logits.end(), outputs.back().begin(), outputs.back().end());
    }
    const auto count = static_cast<double>(split.size());
    for (double& value : total) value /= count;
    const std::size_t parameters_count = total.size();
    return nb::make_tuple(
        loss / count, to_numpy(std::move(total), {parameters_count}),
        to_numpy(std::move(all_logits), {split.size(), static_cast<std::size_t>(network.classes())}));
}

nb::ndarray<nb::numpy, double> reference_curvature(const Network& network,
                                                   const Doubles& parameters, const Split& split) {
    require(parameters.shape(0) == network.parameters, "wrong number of parameters");
    require_fit(network, split);
    require(split.size() > 0, "images are missing");
    std::vector<double> total(network.parameters);
    const auto size = static_cast<std::size_t>(network.pixels().size());
    for (std::size_t n = 0; n < split.size(); ++n)
        lenet::reference::curve_image(network, parameters.data(), split.pixels.data() + n * size,
                                      total.data());
    for (double& value : total) value /= static_cast<double>(split.size());
    const std::size_t count = total.size();
    return to_numpy(std::move(total), {count});
}

// From `Numbers` of src/lenet/recipe/augmentation.py; within its bounds nothing overflows.
lenet::Augmentation read_augmentation(const nb::object& numbers, std::uint64_t seed) {
    const auto number = [&](const char* name, std::int64_t most) {
        const auto value = nb::cast<std::int64_t>(numbers.attr(name));
        require(value >= 0 && value <= most, "a number of the augmentation is out of range");
        return value;
    };
    const std::int64_t one = 1 << 24;
    const auto kernel = nb::cast<std::vector<std::int32_t>>(numbers.attr("kernel"));
    std::int64_t weight = 0;
    for (const std::int32_t part : kernel) {
        require(part >= 0, "a number of the augmentation is out of range");
        weight += part;
    }
    require(kernel.size() <= lenet::maximum_kernel && weight <= (1 << 15),
            "a number of the augmentation is out of range");
    lenet::Augmentation augmentation;
    augmentation.flip = number("flip", 1);
    augmentation.shift = number("shift", 1024);
    augmentation.scale = number("scale", one / 10 * 9 + 9);
    augmentation.squeeze = number("squeeze", one / 10 * 9 + 9);
    augmentation.shear = number("shear", 2 * one);
    augmentation.rotation = number("rotation", 4 * one);
    augmentation.elastic = number("elastic", one);
    augmentation.edge = number("edge", 1);
    augmentation.brightness = number("brightness", one);
    augmentation.contrast = number("contrast", one);
    augmentation.erase = number("erase", one);
    augmentation.erase_side = number("erase_side", one);
    augmentation.seed = seed;
    return augmentation;
}

const lenet::Backend& backend_of(const std::string& name) {
    const lenet::Backend* backend = lenet::find_backend(name);
    require(backend != nullptr, "this processor has no such instruction set");
    return *backend;
}

nb::tuple functions(const std::string& name, const Floats& x) {
    const std::size_t count = x.shape(0);
    std::vector<float> e(count), s(count), t(count);
    backend_of(name).functions(x.data(), count, e.data(), s.data(), t.data());
    return nb::make_tuple(copy(e), copy(s), copy(t));
}

double measure_peak(const std::string& name, double seconds) {
    const lenet::Backend& backend = backend_of(name);
    const Unlocked unlocked;
    return lenet::measure_peak(backend, seconds);
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const lenet::Backend* backend : lenet::usable_backends()) names.emplace_back(backend->name);
    return names;
}

} // namespace

NB_MODULE(_native, module) {
    module.doc() = "The compiled CPU engine of lenet; lenet.engines.native is its face.";
    // A daemon thread keeps its engine to the end; that is no leak worth a word on the screen.
    nb::set_leak_warnings(false);
    module.attr("maximum_threads") = lenet::maximum_threads;

    nb::class_<Network>(module, "Network", "A network as the kernels see it.")
        .def_ro("parameters", &Network::parameters)
        .def_ro("trained", &Network::trained);
    module.def("build_network", &build_network, "channels"_a, "rows"_a, "columns"_a, "pixel_scale"_a,
               "pixel_shift"_a, "layers"_a);

    nb::class_<Split>(module, "Split",
                      "Images (n, c, h, w), labels (n) or none, and targets (n, classes) or none.")
        .def(nb::init<Pixels, const Whole&, int, Rows>(), "images"_a.noconvert(), "labels"_a.noconvert(),
             "classes"_a, "targets"_a.noconvert())
        .def("__len__", &Split::size);

    nb::class_<Engine>(module, "Engine", "A network with parameters, optimizer and threads.")
        .def(
            "__init__",
            [](Engine* self, const Network& network, const std::string& isa, const Floats& parameters,
               const Floats& mask, int threads, bool adamw, bool sdlm, float momentum, bool nesterov,
               float weight_decay, double beta1, double beta2, float epsilon, float floor,
               const LossRow& loss, double averaging, double clip_norm, const nb::object& augmentation,
               std::uint64_t seed) {
                require(parameters.shape(0) == network.parameters, "wrong number of parameters");
                require(mask.shape(0) == 0 || mask.shape(0) == network.parameters, "wrong mask");
                require(threads >= 1 && threads <= lenet::maximum_threads,
                        "the number of threads is out of range");
                const lenet::Optimizer optimizer{.adamw = adamw,
                                                 .momentum = momentum,
                                                 .nesterov = nesterov,
                                                 .weight_decay = weight_decay,
                                                 .beta1 = beta1,
                                                 .beta2 = beta2,
                                                 .epsilon = epsilon,
                                                 .loss = loss_of(loss),
                                                 .sdlm = sdlm,
                                                 .floor = floor,
                                                 .averaging = averaging,
                                                 .clip_norm = clip_norm};
                new (self) Engine(network, backend_of(isa), optimizer,
                                  {parameters.data(), parameters.data() + parameters.shape(0)},
                                  {mask.data(), mask.data() + mask.shape(0)}, threads,
                                  read_augmentation(augmentation, seed),
                                  nb::cast<std::vector<std::int32_t>>(augmentation.attr("kernel")));
            },
            "network"_a, "isa"_a, "parameters"_a, "mask"_a, "threads"_a, "adamw"_a, "sdlm"_a,
            "momentum"_a, "nesterov"_a, "weight_decay"_a, "beta1"_a, "beta2"_a, "epsilon"_a, "floor"_a,
            "loss"_a, "averaging"_a, "clip_norm"_a, "augmentation"_a, "seed"_a)
        .def("step", &step, "split"_a, "indices"_a.noconvert(), "learning_rate"_a, "epoch"_a,
             "One update; returns (mean loss, misses) before it.")
        .def("seen", &seen, "split"_a, "indices"_a.noconvert(), "epoch"_a,
             "The images as a step of that epoch sees them.")
        .def("gradient", &gradient, "split"_a, "indices"_a.noconvert(),
             "(loss, misses, gradient); no update.")
        .def("curvature", &curvature, "split"_a, "indices"_a.noconvert(),
             "Mean second derivatives over these images; sdlm goes by them from now on.")
        .def("logits", &logits, "split"_a)
        .def("activations", &activations, "split"_a)
        .def("restore", &restore, "parameters"_a, "first"_a, "second"_a, "average"_a, "updates"_a)
        .def("state", &state, "(parameters, first slot, second slot, average, updates), all copies.")
        .def_prop_ro("threads", &Engine::threads);

    module.def("reference_curvature", &reference_curvature, "network"_a, "parameters"_a, "split"_a,
               "Mean second derivatives by the plain kernels in float64.");
    module.def("reference", &reference, "network"_a, "parameters"_a, "split"_a, "loss"_a,
               "The plain kernels in float64: (mean loss, mean gradient, logits).");
    module.def("functions", &functions, "isa"_a, "x"_a, "(e^x, sigmoid, tanh), as the kernels do.");
    module.def("measure_peak", &measure_peak, "isa"_a, "seconds"_a,
               "Multiply-adds a second of one core, from registers alone.");
    module.def("instruction_sets", &instruction_sets, "Those this processor has, best first.");
}
