"""Export to files that run without Keras: on phones, in browsers, and in other runtimes."""
