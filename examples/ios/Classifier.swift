// Not run here: written after the documents of LiteRT's Swift API (pod TensorFlowLiteSwift).
// Add model.tflite and labels.txt of an export to the app's bundle.
import TensorFlowLite
import UIKit

final class Classifier {
    private let interpreter: Interpreter
    private let names: [String]
    private let side: Int

    init(side: Int = 224) throws {
        self.side = side
        interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
        try interpreter.allocateTensors()
        let labels = Bundle.main.path(forResource: "labels", ofType: "txt")!
        names = try String(contentsOfFile: labels, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    func classify(_ photo: CGImage) throws -> (String, Float) {
        var rgba = [UInt8](repeating: 0, count: side * side * 4)
        let context = CGContext(data: &rgba, width: side, height: side, bitsPerComponent: 8, bytesPerRow: side * 4,
                                space: CGColorSpaceCreateDeviceRGB(),
                                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)!
        context.interpolationQuality = .high
        context.draw(photo, in: CGRect(x: 0, y: 0, width: side, height: side))
        let rgb = rgba.enumerated().filter { $0.offset % 4 != 3 }.map(\.element)
        try interpreter.copy(Data(rgb), toInputAt: 0)
        try interpreter.invoke()
        let data = try interpreter.output(at: 0).data
        let probabilities = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        let best = probabilities.indices.max { probabilities[$0] < probabilities[$1] }!
        return (names[best], probabilities[best])
    }
}
