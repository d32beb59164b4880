# SPDX-License-Identifier: Apache-2.0
"""One training step in TensorFlow, the same for one process and for many, and the passes over the music made of it.

Each of the machines takes its share of the lanes. The gradients and losses are summed over all of them, then each
makes the same step; dropout is drawn for all lanes and cut to a machine's own. So it does not matter to the result how
many there are, but for the order in which numbers are added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sideman_models.errors import TrainingError
from sideman_models.network.encoding import EncodedPiece
from sideman_models.network.lstm import Flags, Floats, Weights
from sideman_models.training.dataset import Batch, BatchWindows
from sideman_models.training.factored_model import (
    DropoutMasks,
    FactoredParameters,
    Tensor,
    fold_parameters,
    total_bits,
    window_logits,
)
from sideman_models.training.recipe import Recipe

Strategy = Any
Replica = Any
ProgressFunction = Callable[[float, int, float], float]
Arrays = Mapping[str, npt.NDArray[Any]]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # Adam's two memories, and what keeps it from dividing by nothing


class MachineLost(TrainingError):
    """Another machine of the cluster does not answer any more."""


class AdamW:
    """Adam with decoupled weight decay (Kingma and Ba, 2015; Loshchilov and Hutter, 2019), gradients clipped together.

    Written out because Keras' own cannot be used under a strategy of many machines. `variables` are made by the caller,
    as are `first` and `second`, the moments, zero to begin with.
    """

    def __init__(
        self, recipe: Recipe, variables: FactoredParameters, first: FactoredParameters, second: FactoredParameters
    ) -> None:
        self._recipe = recipe
        self._variables = list(zip(variables, first, second, strict=True))

    def apply(self, gradients: Sequence[Tensor], rate: Tensor, iteration: Tensor, strategy: Strategy) -> None:
        """One update; `iteration` counts from 0."""
        step = tf.cast(iteration + 1, tf.float32)
        alpha = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, step)) / (1.0 - tf.pow(_BETA_1, step))
        for (variable, first, second), gradient in zip(self._variables, gradients, strict=True):
            args = (first, second, gradient, rate, alpha)
            strategy.extended.update(variable, self._update, args=args, group=False)

    def _update(
        self, variable: Tensor, first: Tensor, second: Tensor, gradient: Tensor, rate: Tensor, alpha: Tensor
    ) -> None:
        variable.assign_sub(variable * self._recipe.weight_decay * rate)
        first.assign_add((gradient - first) * (1.0 - _BETA_1))
        second.assign_add((tf.square(gradient) - second) * (1.0 - _BETA_2))
        variable.assign_sub(first * alpha / (tf.sqrt(second) + _EPSILON))


def clip_by_global_norm(gradients: Sequence[Tensor], max_norm: float) -> list[Tensor]:
    """The gradients, scaled down so that their norm, all together, is at most `max_norm`."""
    norm = tf.sqrt(tf.reduce_sum(tf.stack([tf.reduce_sum(tf.square(one)) for one in gradients])))
    scale = max_norm * tf.minimum(1.0 / norm, 1.0 / max_norm)
    return [one * scale for one in gradients]


class Trainer:
    """Learns from encoded pieces, beginning with the parameters `start`.

    `clash_table` is the encoder's table of clashes, `parts` as `parts_of` gives them. Raises `TrainingError` if the
    lanes cannot be shared out evenly over the strategy's replicas.
    """

    def __init__(
        self,
        recipe: Recipe,
        start: FactoredParameters,
        parts: Floats,
        clash_table: Flags,
        strategy: Strategy | None = None,
    ) -> None:
        self.recipe = recipe
        self.n_context = int(start.context.shape[0])
        self._strategy = tf.distribute.get_strategy() if strategy is None else strategy
        self._replicas = self._strategy.num_replicas_in_sync
        if recipe.lanes % self._replicas:
            raise TrainingError(f"{recipe.lanes} lanes cannot be shared out evenly over {self._replicas} machines")
        self._parts = parts
        self._clash_table = clash_table.astype(np.float32)
        with self._strategy.scope():
            self._parameters, self._average = (
                FactoredParameters(*(tf.Variable(one) for one in start)) for _ in range(2)
            )
            self._first_moment, self._second_moment = (
                FactoredParameters(*(tf.Variable(np.zeros_like(one)) for one in start)) for _ in "12"
            )
        self._optimizer = AdamW(recipe, self._parameters, self._first_moment, self._second_moment)
        self._iteration = 0
        # Nothing in them depends on numbers: without autograph they are compiled sooner.
        self._step = tf.function(self._train_step, autograph=False)
        self._measure = tf.function(self._measure_step, autograph=False)

    def averaged_weights(self) -> Weights:
        """The averaged weights so far, as they are played."""
        return fold_parameters(FactoredParameters(*(one.numpy() for one in self._average)), self._parts)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that training goes on from, by name."""
        arrays = {name: variable.numpy() for name, variable in self._named_variables()}
        return {**arrays, "iteration": np.array(self._iteration)}

    def restore(self, state: Arrays) -> None:
        """Go on from what `state` gave."""
        for name, variable in self._named_variables():
            variable.assign(state[name])
        self._iteration = int(state["iteration"])

    def train_epoch(self, pieces: Sequence[EncodedPiece], progress: ProgressFunction) -> float:
        """Learn from the pieces once, in this order; returns bits a value.

        `progress` is told the share of the epoch and the values that are done and the bits a value so far, and answers
        the learning rate. Raises `TrainingError` when the loss is no longer a number, `MachineLost` when another
        machine is gone.
        """
        windows = BatchWindows(pieces, self.n_context, self.recipe.lanes, self.recipe.steps)
        state = self._zero_state()
        total, values = 0.0, 0
        for at in range(len(windows)):
            rate = progress(at / len(windows), values, total / max(1, values))
            rate *= min(1.0, (self._iteration + 1) / self.recipe.warm_up)
            told = (tf.constant(one, tf.float32) for one in (windows.value_count(at), rate))
            loss, state = self._run_step(
                self._step, self._local_batch(windows, at), state, *told, tf.constant(self._iteration)
            )
            self._iteration += 1
            total += float(loss)
            values += windows.value_count(at)
            if not math.isfinite(total):
                raise TrainingError(f"the loss is no longer a number (step {self._iteration})")
        return total / sum(map(len, pieces))

    def mean_bits(self, pieces: Sequence[EncodedPiece]) -> float:
        """Bits a value of the averaged weights on pieces, without dropout."""
        windows = BatchWindows(pieces, self.n_context, self.recipe.lanes, self.recipe.steps)
        state = self._zero_state()
        total = 0.0
        for at in range(len(windows)):
            loss, state = self._run_step(self._measure, self._local_batch(windows, at), state)
            total += float(loss)
        return total / sum(map(len, pieces))

    def check_agreement(self, digest: bytes) -> None:
        """Make sure that every machine trains the same. Raises `TrainingError` on those that find another."""
        if self._replicas == 1:
            return
        mine = np.frombuffer(digest, np.uint8).astype(np.float32)
        total = tf.function(lambda: self._strategy.run(_all_reduce_constant, args=(mine,)), autograph=False)
        ours = self._first_replica(self._run_step(total)).numpy()
        if not np.array_equal(ours, mine * self._replicas):
            raise TrainingError("the machines of TF_CONFIG do not train the same: give all the same music and options")

    def _named_variables(self) -> list[tuple[str, Tensor]]:
        groups = {
            "learned": self._parameters,
            "average": self._average,
            "first": self._first_moment,
            "second": self._second_moment,
        }
        return [(f"{group}/{name}", one) for group, all_ in groups.items() for name, one in all_._asdict().items()]

    def _run_step(self, step: Callable[..., Any], *args: Tensor) -> Any:  # noqa: ANN401 - whatever the step gives
        try:
            return step(*args)
        except tf.errors.ResourceExhaustedError as error:
            raise TrainingError("there is not memory enough to train so many units over so many values") from error
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
            if self._replicas == 1:
                raise
            raise MachineLost("another machine is gone") from error

    def _zero_state(self) -> tuple[Tensor, Tensor]:
        zero = tf.zeros((self.recipe.lanes // self._replicas, self.recipe.units))
        return zero, zero

    def _local_batch(self, windows: BatchWindows, at: int) -> Batch:
        """This machine's lanes of a window."""
        if self._replicas == 1:
            return _batch_tensors(windows.batch(at))

        def lanes(replica: Replica) -> Batch:
            return _batch_tensors(windows.batch(at, self._replica_lanes(replica.replica_id_in_sync_group)))

        share: Batch = self._strategy.experimental_distribute_values_from_function(lanes)
        return share

    def _replica_lanes(self, replica: int) -> range:
        each = self.recipe.lanes // self._replicas
        return range(replica * each, (replica + 1) * each)

    def _train_step(
        self, window: Batch, state: tuple[Tensor, Tensor], values: Tensor, rate: Tensor, iteration: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step of learning from a window of so many values: its bits in all, and the state it ends in."""
        cost, state, gradients = self._strategy.run(self._compute_gradients, args=(window, state, values, iteration))
        self._optimizer.apply(gradients, rate, iteration, self._strategy)
        # Young averages forget sooner, or they would remember how training began.
        age = tf.cast(iteration, tf.float32)
        kept = tf.minimum(self.recipe.average, (1.0 + age) / (10.0 + age))
        for average, learned in zip(self._average, self._parameters, strict=True):
            self._strategy.extended.update(average, _update_average, args=(learned, kept), group=False)
        return self._first_replica(cost), state

    def _compute_gradients(
        self, window: Batch, state: tuple[Tensor, Tensor], values: Tensor, iteration: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[Tensor]]:
        """The bits of a window over all machines, the state of this one's lanes, and the gradients over all."""
        parameters = _as_tensors(self._parameters)
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            scores, state = window_logits(
                parameters, self._parts, self._clash_table, window, state, self._dropout_masks(iteration)
            )
            cost = total_bits(scores, window)
            loss = cost * math.log(2.0) / values
        gradients = tape.gradient(loss, list(parameters), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if self._replicas > 1:
            cost, gradients = _all_reduce_sum(cost), _all_reduce_sum(gradients)
        return cost, state, clip_by_global_norm(gradients, self.recipe.clip)

    def _measure_step(self, window: Batch, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        cost, state = self._strategy.run(self._total_bits, args=(window, state))
        return self._first_replica(cost), state

    def _total_bits(self, window: Batch, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        scores, state = window_logits(_as_tensors(self._average), self._parts, self._clash_table, window, state, None)
        cost = total_bits(scores, window)
        return (cost if self._replicas == 1 else _all_reduce_sum(cost)), state

    def _first_replica(self, same: Tensor) -> Tensor:
        return self._strategy.experimental_local_results(same)[0]

    def _dropout_masks(self, iteration: Tensor) -> DropoutMasks:
        """What dropout leaves at this step of this machine's lanes: the same for the same seed and step."""
        lanes, steps, units = self.recipe.lanes, self.recipe.steps, self.recipe.units
        rows, recurrent, outputs = self.recipe.dropout
        shapes = ((lanes, len(self._parts) + 1), (lanes, 1, self.n_context), (lanes, units), (lanes, steps, units))
        each = lanes // self._replicas
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * each
        keep, iteration = [], tf.cast(iteration, tf.int64)  # the largest seeds need more than 32 bits
        for place, (shape, share) in enumerate(zip(shapes, (rows, rows, recurrent, outputs), strict=True)):
            dice = tf.random.stateless_uniform(shape, [self.recipe.seed * len(shapes) + place, iteration])
            keep.append(tf.cast(dice[first : first + each] >= share, tf.float32) / (1.0 - share))
        return DropoutMasks(*keep)


def _update_average(average: Tensor, learned: Tensor, kept: Tensor) -> None:
    average.assign(kept * average + (1.0 - kept) * learned)


def _all_reduce_sum(each: Tensor) -> Tensor:
    """The sum over all machines of what each has."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, each)


def _all_reduce_constant(mine: Floats) -> Tensor:
    return _all_reduce_sum(tf.constant(mine))


def _as_tensors(variables: FactoredParameters) -> FactoredParameters:
    return FactoredParameters(*(tf.convert_to_tensor(one) for one in variables))


def _batch_tensors(window: Batch) -> Batch:
    return Batch(*(tf.constant(array) for array in window))
