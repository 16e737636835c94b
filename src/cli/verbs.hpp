// The list of verbs. A new verb is a new file and one line in each half of this one.
#pragma once
#include <vector>

#include "cli/verb.hpp"

namespace loglog::cli {

void add_data(CLI::App& app, const Environment& environment, Action& run);
void add_export(CLI::App& app, const Environment& environment, Action& run);
void add_import(CLI::App& app, const Environment& environment, Action& run);
void add_doctor(CLI::App& app, const Environment& environment, Action& run);
void add_eval(CLI::App& app, const Environment& environment, Action& run);
void add_generate(CLI::App& app, const Environment& environment, Action& run);
void add_ladder(CLI::App& app, const Environment& environment, Action& run);
void add_night(CLI::App& app, const Environment& environment, Action& run);
void add_outliers(CLI::App& app, const Environment& environment, Action& run);
void add_plant(CLI::App& app, const Environment& environment, Action& run);
void add_predict(CLI::App& app, const Environment& environment, Action& run);
void add_quantize(CLI::App& app, const Environment& environment, Action& run);
void add_report(CLI::App& app, const Environment& environment, Action& run);
void add_train(CLI::App& app, const Environment& environment, Action& run);
void add_fit(CLI::App& app, const Environment& environment, Action& run);
void add_store(CLI::App& app, const Environment& environment, Action& run);
void add_study(CLI::App& app, const Environment& environment, Action& run);
void add_sweep(CLI::App& app, const Environment& environment, Action& run);

inline const std::vector<AddVerb> kVerbs = {
    add_data,     add_doctor, add_ladder, add_report,  add_train,    add_eval,
    add_generate, add_fit,    add_store,  add_sweep,   add_export,   add_import,
    add_quantize, add_plant,  add_study,  add_predict, add_outliers, add_night,
};

}  // namespace loglog::cli
