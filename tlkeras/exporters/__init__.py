"""Export models to files that run without Keras: on phones, in browsers, and on servers."""
