# SPDX-License-Identifier: Apache-2.0
"""The training step in TensorFlow, for one machine or for a cluster, and whole epochs of such steps.

In a cluster each machine has a share of the lanes. Gradients and losses are summed over all machines, and then each
machine makes the same update. Dropout is drawn for all lanes, and each machine takes the part of its own lanes. So the
result does not depend on the number of machines, except for the order in which numbers are added.
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

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # Adam's decay rates, and the number that prevents a division by zero


class MachineLost(TrainingError):
    """Another machine of the cluster no longer answers."""


class AdamW:
    """Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019).

    Keras' own AdamW cannot be used with a strategy for several machines. The caller makes the `variables` and their
    moments `first` and `second`, which start at zero.
    """

    def __init__(
        self, recipe: Recipe, variables: FactoredParameters, first: FactoredParameters, second: FactoredParameters
    ) -> None:
        self._recipe = recipe
        self._variables = list(zip(variables, first, second, strict=True))

    def apply(self, gradients: Sequence[Tensor], rate: Tensor, iteration: Tensor, strategy: Strategy) -> None:
        """Make one update with the learning rate `rate`; `iteration` counts from 0."""
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
    """Return the gradients, scaled down so that the norm of all of them together is at most `max_norm`."""
    norm = tf.sqrt(tf.reduce_sum(tf.stack([tf.reduce_sum(tf.square(gradient)) for gradient in gradients])))
    scale = max_norm * tf.minimum(1.0 / norm, 1.0 / max_norm)
    return [gradient * scale for gradient in gradients]


class Trainer:
    """Trains the parameters `start` on encoded pieces.

    `parts` is from `factored_model.value_parts`, `clash_table` from `PieceEncoder.clash_table`, `symbols` from
    `factored_model.value_symbols`. Raises `TrainingError`
    if the lanes cannot be divided evenly among the machines.
    """

    def __init__(
        self,
        recipe: Recipe,
        start: FactoredParameters,
        parts: Floats,
        clash_table: Flags,
        symbols: Floats,
        strategy: Strategy = None,
    ) -> None:
        self.recipe = recipe
        self.n_context = int(start.context.shape[0])
        self._strategy = tf.distribute.get_strategy() if strategy is None else strategy
        self._replicas = self._strategy.num_replicas_in_sync
        if recipe.lanes % self._replicas:
            raise TrainingError(f"{recipe.lanes} lanes cannot be divided evenly among {self._replicas} machines")
        self._parts = parts
        self._clash_table, self._symbols = clash_table.astype(np.float32), symbols
        with self._strategy.scope():
            zeros = [np.zeros_like(array) for array in start]
            self._parameters, self._average, first, second = (
                FactoredParameters(*map(tf.Variable, arrays)) for arrays in (start, start, zeros, zeros)
            )
        self._optimizer = AdamW(recipe, self._parameters, first, second)
        groups = {"learned": self._parameters, "average": self._average, "first": first, "second": second}
        self._variables = {
            f"{group}/{name}": variable
            for group, variables in groups.items()
            for name, variable in variables._asdict().items()
        }
        self._iteration = 0
        zero = tf.zeros((recipe.lanes // self._replicas, recipe.units))
        self._zero_state = zero, zero
        # No branch in these functions depends on a tensor, so they compile without autograph, which is faster.
        self._step = tf.function(self._train_step, autograph=False)
        self._measure = tf.function(self._measure_step, autograph=False)

    def averaged_weights(self) -> Weights:
        """Return the running average of the weights, folded as the network plays them."""
        return fold_parameters(FactoredParameters(*(variable.numpy() for variable in self._average)), self._parts)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that training continues from, by the names in the checkpoint."""
        arrays = {name: variable.numpy() for name, variable in self._variables.items()}
        return {**arrays, "iteration": np.array(self._iteration)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from what `state` returned. Raises `KeyError` or `ValueError` if it does not fit."""
        for name, variable in self._variables.items():
            variable.assign(state[name])
        self._iteration = int(state["iteration"])

    def train_epoch(self, pieces: Sequence[EncodedPiece], progress: Callable[[float, int, float], float]) -> float:
        """Train once on the pieces, in this order. Returns bits per value.

        Before each step, `progress` gets the share (0..1) of the epoch and the values that are done, and bits per value
        so far; it returns the learning rate. Raises `TrainingError` when the loss is no longer a number or memory runs
        out, and `MachineLost` when another machine is lost.
        """
        windows = BatchWindows(pieces, self.n_context, self.recipe.lanes, self.recipe.steps)
        state, total, values = self._zero_state, 0.0, 0
        for number in range(len(windows)):
            rate = progress(number / len(windows), values, total / max(1, values))
            rate *= min(1.0, (self._iteration + 1) / self.recipe.warm_up)
            count = windows.value_count(number)
            numbers = tf.constant(count, tf.float32), tf.constant(rate, tf.float32), tf.constant(self._iteration)
            bits, state = self._run_step(self._step, self._local_batch(windows, number), state, *numbers)
            self._iteration += 1
            total += float(bits)
            values += count
            if not math.isfinite(total):
                raise TrainingError(f"the loss is no longer a number (step {self._iteration})")
        return total / sum(map(len, pieces))

    def mean_bits(self, pieces: Sequence[EncodedPiece]) -> float:
        """Return bits per value of the averaged weights on pieces, without dropout."""
        windows = BatchWindows(pieces, self.n_context, self.recipe.lanes, self.recipe.steps)
        state, total = self._zero_state, 0.0
        for number in range(len(windows)):
            bits, state = self._run_step(self._measure, self._local_batch(windows, number), state)
            total += float(bits)
        return total / sum(map(len, pieces))

    def check_agreement(self, digest: bytes) -> None:
        """Check that every machine trains the same: `digest` must be equal on all. Raises `TrainingError`."""
        if self._replicas == 1:
            return
        mine = np.frombuffer(digest, np.uint8).astype(np.float32)
        total = tf.function(lambda: self._strategy.run(lambda: _all_reduce_sum(tf.constant(mine))), autograph=False)
        summed = self._first_replica(self._run_step(total)).numpy()
        if not np.array_equal(summed, mine * self._replicas):
            raise TrainingError(
                "the machines of TF_CONFIG do not train the same: give all of them the same music and options"
            )

    def _run_step(self, step: Callable[..., Any], *args: Tensor) -> Any:  # noqa: ANN401 - whatever the step returns
        try:
            return step(*args)
        except tf.errors.ResourceExhaustedError as error:
            raise TrainingError("there is not enough memory for this number of units, lanes and values") from error
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
            if self._replicas == 1:
                raise
            raise MachineLost("another machine was lost") from error

    def _local_batch(self, windows: BatchWindows, window: int) -> Batch:
        """Return this machine's lanes of a window."""
        if self._replicas == 1:
            return Batch(*map(tf.constant, windows.batch(window)))

        def lanes_of(replica: Any) -> Batch:  # noqa: ANN401 - TensorFlow has no types
            share = self.recipe.lanes // self._replicas
            first = replica.replica_id_in_sync_group * share
            return Batch(*map(tf.constant, windows.batch(window, range(first, first + share))))

        batch: Batch = self._strategy.experimental_distribute_values_from_function(lanes_of)
        return batch

    def _train_step(
        self, window: Batch, state: tuple[Tensor, Tensor], values: Tensor, rate: Tensor, iteration: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Make one training step on a window of `values` values. Returns its total bits, and the final state."""
        bits, state, gradients = self._strategy.run(self._compute_gradients, args=(window, state, values, iteration))
        self._optimizer.apply(gradients, rate, iteration, self._strategy)
        # At first the average decays faster, so that it soon forgets the initial weights.
        age = tf.cast(iteration, tf.float32)
        decay = tf.minimum(self.recipe.average, (1.0 + age) / (10.0 + age))

        def follow(average: Tensor, learned: Tensor, decay: Tensor) -> None:
            average.assign(decay * average + (1.0 - decay) * learned)

        for average, learned in zip(self._average, self._parameters, strict=True):
            self._strategy.extended.update(average, follow, args=(learned, decay), group=False)
        return self._first_replica(bits), state

    def _compute_gradients(
        self, window: Batch, state: tuple[Tensor, Tensor], values: Tensor, iteration: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[Tensor]]:
        """Return the bits of a window on all machines, the state of this machine's lanes, and the clipped gradients."""
        parameters = FactoredParameters(*map(tf.convert_to_tensor, self._parameters))
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            masks = self._dropout_masks(iteration)
            logits, state = window_logits(
                parameters, self._parts, self._clash_table, self._symbols, window, state, masks
            )
            bits = total_bits(logits, window)
            loss = bits * math.log(2.0) / values  # nats per value
        gradients = tape.gradient(loss, list(parameters), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if self._replicas > 1:
            bits, gradients = _all_reduce_sum(bits), _all_reduce_sum(gradients)
        return bits, state, clip_by_global_norm(gradients, self.recipe.clip)

    def _measure_step(self, window: Batch, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        bits, state = self._strategy.run(self._compute_bits, args=(window, state))
        return self._first_replica(bits), state

    def _compute_bits(self, window: Batch, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        average = FactoredParameters(*map(tf.convert_to_tensor, self._average))
        logits, state = window_logits(average, self._parts, self._clash_table, self._symbols, window, state, None)
        bits = total_bits(logits, window)
        return (bits if self._replicas == 1 else _all_reduce_sum(bits)), state

    def _first_replica(self, value: Tensor) -> Tensor:
        """Return a value that is the same on all machines."""
        return self._strategy.experimental_local_results(value)[0]

    def _dropout_masks(self, iteration: Tensor) -> DropoutMasks:
        """Return the dropout masks of this machine's lanes. They depend only on the seed and the step."""
        lanes, steps, units = self.recipe.lanes, self.recipe.steps, self.recipe.units
        rows, recurrent, outputs = self.recipe.dropout
        shapes = ((lanes, len(self._parts) + 1), (lanes, 1, self.n_context), (lanes, units), (lanes, steps, units))
        lane_count = lanes // self._replicas
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * lane_count
        masks, iteration = [], tf.cast(iteration, tf.int64)  # the largest seeds need more than 32 bits
        for number, (shape, share) in enumerate(zip(shapes, (rows, rows, recurrent, outputs), strict=True)):
            uniform = tf.random.stateless_uniform(shape, [self.recipe.seed * len(shapes) + number, iteration])
            masks.append(tf.cast(uniform[first : first + lane_count] >= share, tf.float32) / (1.0 - share))
        return DropoutMasks(*masks)


def _all_reduce_sum(local: Tensor) -> Tensor:
    """Return the sum over all machines."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, local)
