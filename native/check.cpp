// The stand-alone check of one instruction set, without Python: kernels, then whole networks.

#include <cmath>
#include <cstdio>
#include <random>

#include "check.hpp"
#include "engine.hpp"
#include "reference.hpp"

#define LENET_TEXT(name) #name
#define LENET_NAME(name) LENET_TEXT(name)

namespace {

using namespace lenet;

Network lenet5(Activation activation, Kind pooling) {
    const LayerRow rows[] = {
        {.name = "C1",
         .kind = Kind::convolution,
         .activation = activation,
         .size = 5,
         .padding = 2,
         .outputs = 6},
        {.name = "S2", .kind = pooling, .size = 2},
        {.name = "C3", .kind = Kind::convolution, .activation = activation, .size = 5, .outputs = 16},
        {.name = "S4", .kind = pooling, .size = 2},
        {.name = "C5", .activation = activation, .outputs = 120},
        {.name = "F6", .activation = Activation::sigmoid, .outputs = 84},
        {.name = "output", .outputs = 10},
    };
    return build_network(1, 28, 28, rows, 1.0f / 255.0f);
}

// Odd on purpose: sizes that fill no vector, borders between layers, columns that pooling drops.
Network odd(Activation activation, Kind pooling) {
    const LayerRow rows[] = {
        {.name = "A",
         .kind = Kind::convolution,
         .activation = activation,
         .size = 3,
         .padding = 1,
         .outputs = 5},
        {.name = "B",
         .kind = Kind::convolution,
         .activation = activation,
         .size = 5,
         .padding = 4,
         .outputs = 3},
        {.name = "C", .kind = pooling, .size = 3},
        {.name = "D", .activation = Activation::tanh, .outputs = 7},
        {.name = "E", .outputs = 3},
    };
    return build_network(3, 11, 13, rows, 1.0f / 128.0f, -1.0f);
}

// The layers of 1998, in shapes that fill no vector; `copies` maps of A for each of them at B.
Network of_1998(int copies, int border) {
    const LayerRow rows[] = {
        {.name = "A",
         .kind = Kind::convolution,
         .activation = Activation::scaled_tanh,
         .size = 5,
         .padding = border,
         .outputs = 6},
        {.name = "B",
         .kind = Kind::subsampling,
         .activation = Activation::scaled_tanh,
         .size = 2,
         .outputs = copies},
        {.name = "C",
         .kind = Kind::convolution,
         .activation = Activation::tanh,
         .size = 3,
         .padding = border,
         .outputs = 11},
        {.name = "D", .kind = Kind::subsampling, .size = 2, .outputs = 1},
        {.name = "E", .activation = Activation::sigmoid, .outputs = 13},
        {.name = "F", .kind = Kind::radial_basis, .outputs = 5, .scale = 0.5f},
    };
    return build_network(1, 17, 15, rows, 1.0f / 200.0f, -0.1f);
}

struct Data {
    std::vector<std::uint8_t> pixels;
    std::vector<std::int64_t> labels;
    std::vector<std::int64_t> indices;
    std::vector<float> parameters;

    Data(const Network& network, std::size_t count) {
        std::minstd_rand generator(7);
        pixels.resize(count * static_cast<std::size_t>(network.pixels().size()));
        for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(generator() % 256);
        for (std::size_t n = 0; n < count; ++n) {
            labels.push_back(static_cast<std::int64_t>(generator()) % network.classes());
            indices.push_back(static_cast<std::int64_t>(n * 7 % count));
        }
        for (std::size_t k = 0; k < network.parameters; ++k)
            parameters.push_back(static_cast<float>(generator() % 2001) / 5000.0f - 0.2f);
    }

    Images images() const { return Images{pixels.data(), labels.data(), indices.data()}; }
};

const Backend& backend() { return *find_backend(LENET_NAME(LENET_ISA)); }

// The state and the answers after some steps of sizes that leave tiles and shards unfilled.
std::vector<float> train(const Network& network, const Data& data, const Optimizer& optimizer,
                         int threads) {
    Engine engine(network, backend(), optimizer, data.parameters, {}, threads);
    for (const std::size_t count : {1, 16, 37, 100}) engine.step(data.images(), count, 0.05, 1);
    Engine::State state = engine.state();
    std::vector<float> all = state.parameters;
    all.insert(all.end(), state.first.begin(), state.first.end());
    all.insert(all.end(), state.second.begin(), state.second.end());
    for (const std::size_t count : {1, 3, 99}) {
        std::vector<float> logits(count * static_cast<std::size_t>(network.classes()));
        engine.infer(data.images(), count, logits.data());
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

void check_threads(const char* name, const Network& network, check::Failures& failures) {
    const Data data(network, 101);
    Optimizer momentum, adamw;
    momentum.momentum = 0.9f;
    momentum.nesterov = true;
    momentum.weight_decay = 0.01f;
    adamw.adamw = true;
    for (const Optimizer& optimizer : {Optimizer{}, momentum, adamw}) {
        const std::vector<float> alone = train(network, data, optimizer, 1);
        for (const int threads : {2, 3, 8})
            if (train(network, data, optimizer, threads) != alone)
                failures.add(std::string(name) + ": other bytes on " + std::to_string(threads) +
                             " threads");
    }
}

void check_close(const std::string& what, const std::vector<float>& ours, const std::vector<double>& plain,
                 double scale, check::Failures& failures) {
    for (std::size_t k = 0; k < plain.size(); ++k) {
        const double expected = plain[k] * scale;
        if (!(std::fabs(static_cast<double>(ours[k]) - expected) <= 1e-4 * (0.1 + std::fabs(expected))))
            return failures.add(what + " differs at " + std::to_string(k));
    }
}

// The gradient of one image by the plain kernels.
std::vector<double> plain_gradient(const Network& network, const Data& data, std::size_t index,
                                   const Loss& loss, const std::vector<double>& parameters) {
    std::vector<double> gradient(network.parameters);
    std::vector<std::vector<double>> outputs;
    const auto size = static_cast<std::size_t>(network.pixels().size());
    reference::run_image(network, parameters.data(), data.pixels.data() + index * size,
                         static_cast<int>(data.labels[index]), loss, gradient.data(), outputs);
    return gradient;
}

// Whether an image stands where the gradient jumps: a ReLU at 0, or two maxima that roundings can
// order either way. There any of two answers is right, and nothing can be compared.
bool at_a_kink(const Network& network, const Data& data, std::size_t index, const Loss& loss,
               const std::vector<double>& parameters) {
    std::minstd_rand generator(11);
    std::vector<double> above(parameters), below(parameters);
    for (std::size_t k = 0; k < network.trained; ++k) {
        const double nudge = 1e-6 * (static_cast<double>(generator() % 2001) / 1000.0 - 1.0);
        above[k] += nudge;
        below[k] -= nudge;
    }
    const std::vector<double> one = plain_gradient(network, data, index, loss, above);
    const std::vector<double> other = plain_gradient(network, data, index, loss, below);
    for (std::size_t k = 0; k < network.trained; ++k)
        if (std::fabs(one[k] - other[k]) > 1e-3 * (0.1 + std::fabs(one[k]))) return true;
    return false;
}

// The second derivatives, and steps of one image each, which must go where the plain gradient says.
void check_patterns(const char* name, const Network& network, const Loss& loss, check::Failures& failures) {
    const std::size_t count = 12, wanted = 5;
    const Data data(network, count);
    Optimizer optimizer;
    optimizer.sdlm = true;
    optimizer.loss = loss;
    Engine engine(network, backend(), optimizer, data.parameters, {}, 1);
    std::vector<double> parameters(data.parameters.begin(), data.parameters.end());
    std::vector<double> curvature(network.parameters);
    const auto size = static_cast<std::size_t>(network.pixels().size());
    for (std::size_t n = 0; n < count; ++n)
        reference::curve_image(network, parameters.data(), data.pixels.data() + n * size, curvature.data());
    for (double& value : curvature) value /= static_cast<double>(count);
    check_close(std::string(name) + ": curvature", engine.curvature(data.images(), count), curvature, 1.0,
                failures);
    std::size_t steps = 0;
    for (std::size_t n = 0; n < count && steps < wanted; ++n) {
        Images image = data.images();
        image.indices += n;
        const auto index = static_cast<std::size_t>(*image.indices);
        if (at_a_kink(network, data, index, loss, parameters)) continue;
        engine.step(image, 1, 0.001, 1);
        const std::vector<double> gradient = plain_gradient(network, data, index, loss, parameters);
        for (std::size_t k = 0; k < network.trained; ++k)
            parameters[k] -= 0.001 / (static_cast<double>(optimizer.floor) + curvature[k]) * gradient[k];
        ++steps;
    }
    if (steps < wanted) failures.add(std::string(name) + ": too many images at a kink to be checked");
    check_close(std::string(name) + ": weights after patterns", engine.state().parameters, parameters, 1.0,
                failures);
    std::vector<float> one(static_cast<std::size_t>(network.classes())), many(one.size() * count);
    engine.infer(data.images(), 1, one.data());
    engine.infer(data.images(), count, many.data());
    check_close(std::string(name) + ": answer to one", one,
                {many.begin(), many.begin() + static_cast<std::ptrdiff_t>(one.size())}, 1.0, failures);
}

void check_gradient_of(std::size_t count, const char* name, const Network& network, const Loss& loss,
                       check::Failures& failures) {
    const Data data(network, count);
    Optimizer optimizer;
    optimizer.loss = loss;
    Engine engine(network, backend(), optimizer, data.parameters, {}, 2);
    std::vector<float> ours;
    Images images = data.images();
    images.indices = nullptr;
    engine.gradient(images, count, ours);
    const std::vector<double> parameters(data.parameters.begin(), data.parameters.end());
    std::vector<double> plain(network.parameters);
    std::vector<std::vector<double>> outputs;
    const auto size = static_cast<std::size_t>(network.pixels().size());
    for (std::size_t n = 0; n < count; ++n)
        reference::run_image(network, parameters.data(), data.pixels.data() + n * size,
                             static_cast<int>(data.labels[n]), optimizer.loss, plain.data(), outputs);
    check_close(std::string(name) + ": gradient", ours, plain, 1.0 / static_cast<double>(count), failures);
}

void check_gradient(const char* name, const Network& network, const Loss& loss, check::Failures& failures) {
    // One by one, together, and both.
    for (const std::size_t count : {1, 3, 16, 21}) check_gradient_of(count, name, network, loss, failures);
}

} // namespace

int main() {
    if (find_backend(LENET_NAME(LENET_ISA)) == nullptr) {
        std::puts(LENET_NAME(LENET_ISA) ": skipped, this processor cannot run it");
        return 0;
    }
    check::Failures failures;
    check::check_kernels(failures);
    const auto check_network = [&](const char* name, const Network& network) {
        check_gradient(name, network, {}, failures);
        check_patterns(name, network, {}, failures);
        check_threads(name, network, failures);
    };
    check_network("lenet5", lenet5(Activation::leaky_relu, Kind::average_pooling));
    check_network("lenet5-relu", lenet5(Activation::relu, Kind::max_pooling));
    check_network("lenet5-silu", lenet5(Activation::silu, Kind::average_pooling));
    check_network("odd-silu", odd(Activation::silu, Kind::max_pooling));
    check_network("odd", odd(Activation::scaled_tanh, Kind::average_pooling));
    check_network("odd-max", odd(Activation::sigmoid, Kind::max_pooling));
    for (const LossKind kind : {LossKind::cross_entropy, LossKind::mse, LossKind::map}) {
        const Loss loss{.kind = kind, .rubbish = 3.0f};
        for (const int border : {0, 1})
            for (const int copies : {1, 2}) {
                const Network network = of_1998(copies, border);
                check_gradient("1998", network, loss, failures);
                check_patterns("1998", network, loss, failures);
            }
    }
    check_threads("1998", of_1998(2, 0), failures);
    for (const std::string& line : failures.lines()) std::puts(line.c_str());
    std::printf("%s: %zu failures\n", LENET_NAME(LENET_ISA), failures.lines().size());
    return failures.lines().empty() ? 0 : 1;
}
