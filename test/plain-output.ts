/** Tests read what is printed: jest forces colours on in its workers where it thinks that its own are wanted. */
delete process.env['FORCE_COLOR'];
process.env['NO_COLOR'] = '1';
