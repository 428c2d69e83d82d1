"""One self-contained C file of a network, in floats or in whole numbers, and what it must answer.

Kept here: the network as blocks (`blocks`), the way to whole numbers (`ranges`, `retraining`,
`quantization`), what these answer (`integers`), the text (`source`, with the templates beside it),
and the compiled program (`compilation`).  It may know networks, engines and trainings; it knows no
run and no other format.
"""
