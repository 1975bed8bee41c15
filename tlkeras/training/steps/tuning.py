"""The second phase of `fine_tune`: train once or more from the starting weights, and choose the weights to keep."""

import math
from dataclasses import dataclass, replace

import keras

from tlkeras.errors import InputError
from tlkeras.training.losses import PLAIN_LOSS
from tlkeras.training.steps.averaging import assign_average, assign_values, values_of
from tlkeras.training.steps.best_weights import BestWeights
from tlkeras.training.steps.checkpoint import assign_all, values_as_list
from tlkeras.training.steps.data import set_epoch, steps_per_epoch
from tlkeras.training.steps.epoch_checkpoint import EpochCheckpoint
from tlkeras.training.steps.l2_sp import pulled_to_start
from tlkeras.training.steps.random_state import random_state, restore_random_state
from tlkeras.training.steps.schedule import compile_for_tuning


@dataclass(frozen=True)
class Candidate:
    """A set of weights that the model may end up with.

    Attributes:
        values: Values of the model's weights, from `tlkeras.training.steps.averaging.values_of`.
        loss: Loss on the validation data; None if unknown.
        epoch: Epoch from which the weights come, counted through all runs; 0 for the weights from before fine-tuning.
        steps: Number of training steps that produced the weights.
        runs: Number of runs whose weights are averaged.
        probe_share: Fraction of `values` that comes from the weights before fine-tuning.
    """

    values: dict
    loss: float | None
    epoch: int = 0
    steps: int = 0
    runs: int = 1
    probe_share: float = 0.0


class Runs:
    """All training runs of one call; every run starts from the model's current weights.

    Args:
        model: The classifier.
        trainee: The `keras.Model` to train: the classifier itself, or a model that shares its layers, such as its top.
        data: `tlkeras.training.steps.training_data.TrainingData` for the trainee.
        options: The settings of the call, as `tlkeras.training.steps.options.Options`.
        progress: `tlkeras.training.steps.result.Progress`, whose result is updated.
        checkpoint: `tlkeras.training.steps.checkpoint.Checkpoint` that saves the state of the runs.
    """

    def __init__(self, model, trainee, data, options, progress, checkpoint):
        self.model, self.trainee, self.data = model, trainee, data
        self.options, self.progress, self.checkpoint = options, progress, checkpoint
        self.result = progress.result
        self.steps_per_epoch = steps_per_epoch(data.shuffled)
        self.steps = options.count_steps(self.steps_per_epoch)
        self.epochs = options.count_epochs(self.steps_per_epoch)
        self.start, self.tuned, self.averages = None, [], []

    def tune(self):
        """Fine-tune the model, and give it the best weights, regardless of how training ends."""
        self.result.learning_rates = compile_for_tuning(self.model, self.trainee, self.data, self.options, self.steps)
        self.start = Candidate(values_of(self.model.weights), None, probe_share=1.0)
        try:
            start = [(weight, self.start.values[id(weight)]) for weight in self.model.trainable_weights]
            with pulled_to_start(start, self.options.l2_sp):
                self._train()
                if self.tuned:
                    self._average_runs()
                    self._average_with_probe()
        finally:
            self._keep(self._best())

    def _train(self):
        """Run training the requested number of times from the same weights, and collect each run's best weights."""
        optimizer = self.trainee.optimizer
        fresh = values_of(optimizer.variables) if self.options.runs > 1 else {}
        self.start = replace(self.start, loss=self._loss_before())
        for run in range(self.options.runs):
            if not self._restore_run(run):
                if run:
                    assign_values(self.model.weights, self.start.values)
                    assign_values(optimizer.variables, fresh)
                self._train_once(run)
            if self.result.stopped in ("not a number", "interrupted"):
                break

    def _train_once(self, run):
        past = len(self.result.history.get("loss", ()))
        best = BestWeights(self.options.patience, validated=self.data.held_out is not None)
        with self.progress.phase("fine-tune") as details:
            try:
                self._fit(run, best)
            finally:
                if best.best_epoch is not None:
                    self.trainee.set_weights(best.best_weights)
                    epoch = best.best_epoch + 1
                    loss = float(best.best) if best.validated else None
                    steps = min(self.steps, epoch * self.steps_per_epoch)
                    self.tuned.append(Candidate(values_of(self.model.weights), loss, past + epoch, steps))
            details["epochs"] = best.epochs
        self.result.stopped = best.stopped
        if best.stopped != "interrupted":
            self._save_run(run, best)

    def _fit(self, run, best):
        """Run `fit` once; Ctrl-C ends it in the same way as early stopping."""
        averaging = []
        if self.options.ema_momentum is not None:
            averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
        resuming = EpochCheckpoint(self, run, best)
        report = self.progress.each_epoch(run, self.epochs, self.steps_per_epoch)
        callbacks = [*averaging, resuming, *self.options.callbacks, best, report]
        try:
            self.trainee.fit(
                self.data.shuffled,
                epochs=self.epochs,
                initial_epoch=resuming.initial_epoch,
                validation_data=self.data.held_out,
                class_weight=self.data.class_weight if self.data.head.task != "multilabel" else None,
                shuffle=_shuffled_by_keras(self.data.shuffled),
                callbacks=callbacks,
                verbose=0,
            )
        except KeyboardInterrupt:
            best.stopped = "interrupted"
        except Exception:
            if self.data.class_weight is not None:  # TensorFlow fails if a label has no class weight
                self.data.explain_fault()
            raise
        if best.stopped == "not a number":
            self.data.explain_fault()

    def _average_runs(self):
        """Add the average of all runs' weights to the candidates."""
        if len(self.tuned) < 2:
            return
        with self.progress.phase("average runs") as details:
            details["runs"] = len(self.tuned)
            assign_average(self.model, [run.values for run in self.tuned], batches=self._statistics_batches())
            best = self.tuned[-1]
            if best.loss is not None:
                best = min(reversed(self.tuned), key=lambda run: run.loss)
            average = Candidate(
                values_of(self.model.weights),
                self._loss(),
                best.epoch,
                round(sum(run.steps for run in self.tuned) / len(self.tuned)),
                runs=len(self.tuned),
            )
            self.averages.append(average)

    def _average_with_probe(self):
        """Add the average of the weights from before and after fine-tuning to the candidates."""
        share = self.options.probe_share
        if not share:
            return
        with self.progress.phase("average") as details:
            details["probe_share"] = float(share)
            tuned = [*self.tuned, *self.averages][-1]
            assign_average(
                self.model, [self.start.values, tuned.values], [share, 1 - share], self._statistics_batches()
            )
            self.averages.append(
                replace(tuned, values=values_of(self.model.weights), loss=self._loss(), probe_share=float(share))
            )

    def _best(self):
        """Return the weights to keep: if the validation loss decides, those with the lowest; otherwise, the latest."""
        candidates = [self.start, *self.tuned, *self.averages]
        known = [candidate for candidate in candidates if candidate.loss is not None]
        if known and self.options.keeps_lowest_loss:
            return min(reversed(known), key=lambda candidate: candidate.loss)  # the last one in a tie
        return candidates[-1]

    def _keep(self, kept):
        assign_values(self.model.weights, kept.values)
        self.result.best_epoch, self.result.steps = kept.epoch, kept.steps
        self.result.runs, self.result.average_with_probe = kept.runs, kept.probe_share

    def _statistics_batches(self):
        """Return the batches for recomputing BatchNorm statistics, or None if all of these statistics are frozen."""
        return self.data.sources["train"] if self.options.batchnorm == "train" else None

    def _loss_before(self):
        loss = self._loss()
        if loss == math.inf:
            self.data.explain_fault()
            raise InputError(
                "The loss on the validation data is not a finite number before any fine-tuning. Check the model's "
                "weights for NaN."
            )
        return loss

    def _loss(self):
        """Return the validation loss without penalties: infinity if it is NaN, None without validation data."""
        if self.data.held_out is None:
            return None
        loss = self.trainee.evaluate(self.data.held_out, verbose=0, return_dict=True)[PLAIN_LOSS]
        return math.inf if math.isnan(loss) else float(loss)

    def _save_run(self, run, best):
        if not self.checkpoint:
            return
        notes = {"result": self.result.as_dict(), "random": random_state(), "candidate": None}
        arrays = values_as_list(self.seeds)
        if best.best_epoch is not None:
            candidate = self.tuned[-1]
            notes["candidate"] = {"loss": candidate.loss, "epoch": candidate.epoch, "steps": candidate.steps}
            arrays += [candidate.values[id(weight)] for weight in self.model.weights]
        self.checkpoint.save(f"run-{run}", arrays, notes)
        self.checkpoint.remove("epoch")

    def _restore_run(self, run):
        """Restore a run that ended before the call was killed; return whether there was one."""
        saved = self.checkpoint.load(f"run-{run}")
        if saved is None:
            return False
        arrays, notes = saved
        assign_all(self.seeds, arrays[: len(self.seeds)])
        if notes["candidate"]:
            assign_all(self.model.weights, arrays[len(self.seeds) :])
            self.tuned.append(Candidate(values_of(self.model.weights), **notes["candidate"]))
        self.result.restore(notes["result"])
        restore_random_state(notes["random"])
        return True

    @property
    def seeds(self):
        """The variables of the model that are not weights: seeds for dropout and augmentation."""
        weights = {id(weight) for weight in self.model.weights}
        return [variable for variable in self.model.variables if id(variable) not in weights]

    def start_epoch(self, run, epoch):
        """Set the order of the images for an epoch, which depends only on the epoch's number."""
        set_epoch(self.data.shuffled, run * self.epochs + epoch)


def _shuffled_by_keras(batches):
    """Return whether Keras should shuffle the batches, which is true only for a user's own `PyDataset`.

    Keras would shuffle the batches of tlkeras a second time, with a random state that `seed` does not set and that
    workers do not share.
    """
    return isinstance(batches, keras.utils.PyDataset) and not type(batches).__module__.startswith("tlkeras.")
