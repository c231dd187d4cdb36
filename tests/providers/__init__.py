"""Tests of engine.providers: real SDKs and real HTTP against scripted servers on loopback."""
