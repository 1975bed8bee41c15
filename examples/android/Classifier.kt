// Not run here: written after the documents of LiteRT's Kotlin API (com.google.ai.edge.litert:litert).
// Put model.tflite and labels.txt of an export into app/src/main/assets.
import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

class Classifier(context: Context, private val side: Int = 224) {
    private val names = context.assets.open("labels.txt").bufferedReader().readLines()
    private val model = CompiledModel.create(context.assets, "model.tflite", CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    fun classify(photo: Bitmap): Pair<String, Float> {
        val picture = Bitmap.createScaledBitmap(photo, side, side, true)
        val pixels = IntArray(side * side).also { picture.getPixels(it, 0, side, 0, 0, side, side) }
        val rgb = pixels.flatMap { listOf(Color.red(it), Color.green(it), Color.blue(it)) }
        inputs[0].writeInt8(ByteArray(rgb.size) { rgb[it].toByte() }) // the bytes of uint8
        model.run(inputs, outputs)
        val probabilities = outputs[0].readFloat()
        val best = probabilities.indices.maxBy { probabilities[it] }
        return names[best] to probabilities[best]
    }
}
