Bx0J<Cÿ?›ÑJBÐœ9Bnd
B=µKBaN1B9•9BØTAâhB»Š½BþWBÓµB[B¯¾BSazA